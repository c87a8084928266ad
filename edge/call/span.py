"""A span around the call of a service."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh.telemetry import tracing


@contextmanager
def span(name: str, metadata: list[tuple[str, str | bytes]]) -> Iterator[None]:
    """A span around the call of a service, which continues the client's trace and is continued there: the metadata
    gets its traceparent.
    """
    carrier = {key: value for key, value in metadata if isinstance(value, str)}
    with tracing.span(name, "SERVER", carrier):
        injected = tracing.inject()
        metadata[:] = [(key, value) for key, value in metadata if key not in injected]
        metadata.extend(injected.items())
        yield
