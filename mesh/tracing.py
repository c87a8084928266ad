"""Traces that go on from process to process, in the headers of W3C Trace Context (https://www.w3.org/TR/trace-context/).

OpenTelemetry, 2 MB and some microseconds a call, is loaded where spans are exported. A process that exports none hands
the context that it was given on as it is, so that a trace does not end there.
"""

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal

HEADERS = ("traceparent", "tracestate")

_given: ContextVar[Mapping[str, str]] = ContextVar("given_trace_context", default=MappingProxyType({}))
_tracer: Any = None


def configure(name: str, endpoint: str) -> None:
    """Exports spans to the OpenTelemetry collector at an endpoint, over gRPC, as those of the service of this name."""
    global _tracer  # a process exports to one collector
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://")))
    )
    trace.set_tracer_provider(provider)
    _tracer = trace.get_tracer(__name__)


@contextlib.contextmanager
def span(name: str, kind: Literal["SERVER", "CONSUMER"], headers: Mapping[str, str]) -> Iterator[None]:
    """What happens while this is entered belongs to the trace of these headers, in lower case: a span of it."""
    if _tracer is not None:
        from opentelemetry import propagate, trace

        with _tracer.start_as_current_span(name, context=propagate.extract(headers), kind=trace.SpanKind[kind]):
            yield
        return
    token = _given.set({header: headers[header] for header in HEADERS if header in headers})
    try:
        yield
    finally:
        _given.reset(token)


def inject() -> Mapping[str, str]:
    """The headers that carry the current trace on; none outside of a span."""
    if _tracer is None:
        return _given.get()
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier
