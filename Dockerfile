# One image for every process of the mesh; the argument says which:
#   docker run meshwright edge | services.orders | mesh.migrations orders …
# It is made of the pinned requirements and of the committed code alone. Build it with BuildKit, by `make image`.

ARG BASE=python:3.13-slim

FROM ${BASE} AS build
COPY requirements.txt /build/
# A machine behind a proxy of its own gives the certificates that pip should trust as the secret "ca".
RUN --mount=type=secret,id=ca,required=false \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
 && python3 -m venv --without-pip /venv \
 && python3 -m pip --python /venv/bin/python3 --disable-pip-version-check --no-cache-dir \
        install --require-hashes --no-deps --only-binary :all: --no-compile --requirement /build/requirements.txt \
 && find /venv -type d \( -name tests -o -name test \) -path '*site-packages*' -prune -exec rm -rf {} + \
 && find /venv -name '*.pyi' -delete \
 && rm -f /venv/bin/*ctivate*
COPY gen /app/gen
COPY mesh /app/mesh
COPY services /app/services
COPY edge /app/edge
# The root file system is read-only where it runs, so that Python can't compile then. The bytecode is checked against nothing and
# holds no time: the same code gives the same bytes.
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /venv /app

FROM ${BASE}
LABEL org.opencontainers.image.title="Meshwright" \
      org.opencontainers.image.description="REST edge and gRPC services made from Protobuf contracts" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing in here can install or compile anything.
RUN python3 -c "import importlib.util as u, os, shutil; [shutil.rmtree(os.path.dirname(found.origin)) \
for name in ('pip', 'setuptools', 'pkg_resources', 'wheel', 'ensurepip') if (found := u.find_spec(name))]" \
 && rm -f /usr/bin/pip* /usr/local/bin/pip*
COPY --from=build /venv /venv
COPY --from=build /app /app
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app:/app/gen \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    LISTEN_HOST=0.0.0.0 \
    CONTRACTS=/app/gen/contracts.binpb
WORKDIR /app
USER 10001:10001
ENTRYPOINT ["python3", "-m"]
CMD ["edge"]
