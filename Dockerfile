# One image for all processes of the mesh. The argument selects the process:
#   docker run meshwright edge | services.orders | mesh.migrations orders …
# It contains the pinned requirements and the code, nothing else. Build it with BuildKit: `make image`.

ARG BASE=python:3.13-slim

# The root file system is read-only at run time, so Python cannot compile then. The bytecode is
# compiled here, without time stamps and not checked against its source, and all files have one date:
# the same code gives the same bytes.
FROM ${BASE} AS build
COPY requirements.txt /build/
# Behind a proxy with certificates of its own, pass those that pip should trust as the secret "ca".
# setuptools is only needed to generate code with grpcio-tools, which no process does.
RUN --mount=type=secret,id=ca,required=false \
    if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi \
 && python3 -m venv --without-pip /venv \
 && python3 -m pip --python /venv/bin/python3 --disable-pip-version-check --no-cache-dir \
        install --require-hashes --no-deps --only-binary :all: --no-compile --requirement /build/requirements.txt \
 && cd /venv/lib/python3*/site-packages \
 && rm -rf /venv/bin/*ctivate* setuptools* *distutils* \
 && find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} + \
 && find . -name '*.pyi' -delete \
 && python3 -m compileall -q --invalidation-mode unchecked-hash /venv \
 && mkdir /packages && mv /venv /packages \
 && find /packages -exec touch --no-dereference --date=@0 {} +
COPY gen /code/app/gen
COPY mesh /code/app/mesh
COPY services /code/app/services
COPY edge /code/app/edge
# For local.mail, the mail server of trial installations.
COPY local /code/app/local
RUN chmod -R u=rwX,go=rX /code \
 && python3 -m compileall -q --invalidation-mode unchecked-hash -s /code -p / /code \
 && find /code -exec touch --no-dereference --date=@0 {} +

FROM ${BASE}
LABEL org.opencontainers.image.title="Meshwright" \
      org.opencontainers.image.description="REST edge and gRPC services made from Protobuf contracts" \
      org.opencontainers.image.licenses="Apache-2.0"
# Removes everything that can install or compile. The base image has Python's library as source only,
# so it is compiled here.
RUN find /usr -regextype posix-extended -regex \
        '.*/(bin/pip[0-9.]*|python-wheels|ensurepip|(dist|site)-packages/(pip|wheel|setuptools|pkg_resources|_?distutils)[^/]*)' \
        -prune -exec rm -rf {} + \
 && python3 -m compileall -q --invalidation-mode unchecked-hash "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /packages /
COPY --from=build /code /
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
