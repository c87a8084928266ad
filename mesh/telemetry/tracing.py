"""Traces across processes, by the headers of W3C Trace Context (https://www.w3.org/TR/trace-context/).

OpenTelemetry, which costs 2 MB and some microseconds a call, is only loaded if spans are exported. Otherwise a process
forwards the trace context unchanged, so that a trace does not end there.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal

import structlog

HEADERS = ("traceparent", "tracestate")

# https://www.w3.org/TR/trace-context/#traceparent-header: version ff and ids of zeros are invalid.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_HEADER_LENGTH_MAX = 512  # the length of tracestate that must be supported

_given: ContextVar[Mapping[str, str]] = ContextVar("given_trace_context", default=MappingProxyType({}))
_tracer: Any = None


def configure(name: str, endpoint: str) -> None:
    """Configures the export of spans, as those of the service `name`, to an OpenTelemetry collector over gRPC."""
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


def flush() -> None:
    """Exports the buffered spans, as far as the collector accepts them. No span is exported afterwards."""
    if _tracer is not None:
        from opentelemetry import trace

        provider: Any = trace.get_tracer_provider()
        provider.shutdown()


def trace_id(headers: Mapping[str, str]) -> str:
    """Returns the trace id in the headers, empty if there is none."""
    given = headers.get("traceparent")
    found = _TRACEPARENT.fullmatch(given) if given else None
    return found[1] if found else ""


def span(
    name: str, kind: Literal["SERVER", "CONSUMER"], headers: Mapping[str, str]
) -> contextlib.AbstractContextManager[None]:
    """Returns a context that is a span of the trace in these headers, whose names are in lower case. If spans are
    exported, log lines have the span's trace_id from here on.
    """
    if _tracer is not None:
        return _exported(name, kind, headers)
    if "traceparent" in headers or _given.get():
        return _forwarded(headers)
    return contextlib.nullcontext()


@contextlib.contextmanager
def _exported(name: str, kind: str, headers: Mapping[str, str]) -> Iterator[None]:
    from opentelemetry import propagate, trace

    context = propagate.extract(headers)
    with _tracer.start_as_current_span(name, context=context, kind=trace.SpanKind[kind]) as started:
        own = trace.format_trace_id(started.get_span_context().trace_id)
        structlog.contextvars.bind_contextvars(trace_id=own)
        yield


@contextlib.contextmanager
def _forwarded(headers: Mapping[str, str]) -> Iterator[None]:
    is_valid = trace_id(headers) != ""
    token = _given.set({name: headers[name] for name in HEADERS if is_valid and _is_short(headers.get(name))})
    try:
        yield
    finally:
        _given.reset(token)


def _is_short(value: str | None) -> bool:
    return value is not None and len(value) <= _HEADER_LENGTH_MAX


def inject() -> Mapping[str, str]:
    """Returns the headers that propagate the current trace, empty outside of a span."""
    if _tracer is None:
        return _given.get()
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier
