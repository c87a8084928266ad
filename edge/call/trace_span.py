"""Trace spans of calls."""

from collections.abc import Iterator
from contextlib import contextmanager

from mesh.telemetry import tracing


@contextmanager
def span(name: str, metadata: list[tuple[str, str | bytes]]) -> Iterator[None]:
    """Traces the call of a service in a span, which continues the client's trace. Adds its traceparent to the metadata,
    so that the service continues the trace.
    """
    carrier = {key: value for key, value in metadata if isinstance(value, str)}
    with tracing.span(name, "SERVER", carrier):
        injected = tracing.inject()
        metadata[:] = [(key, value) for key, value in metadata if key not in injected]
        metadata.extend(injected.items())
        yield
