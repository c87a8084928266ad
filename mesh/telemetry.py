"""Logs and metrics of a process, structlog and prometheus-client, and whether it has traces."""

import contextlib
import logging
import sys
from typing import Any, Protocol

import structlog
from prometheus_client import Counter, Histogram
from structlog.tracebacks import ExceptionDictTransformer

from mesh import tracing

SERVER_CALLS = Counter("grpc_server_handled_total", "Calls answered, by method and status.", ["method", "code"])
SERVER_SECONDS = Histogram("grpc_server_handling_seconds", "Time to answer a call, by method.", ["method"])
CLIENT_CALLS = Counter("grpc_client_handled_total", "Calls made, by workload and status.", ["workload", "code"])

# The library's own default logs the local variables of every frame: passwords, tokens, addresses.
_TRACEBACK = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))

_LOUD_LIBRARIES = ("nats", "asyncio", "grpc", "uvicorn.error", "uvicorn.access")


class TelemetrySettings(Protocol):
    """What telemetry needs to know of a process's settings."""

    @property
    def log_level(self) -> str:
        """The least that is logged: debug, info, warning or error."""

    @property
    def log_format(self) -> str:
        """json, text, or auto: text on a terminal, JSON elsewhere."""

    @property
    def otel_exporter_otlp_endpoint(self) -> str | None:
        """The URL of the OpenTelemetry collector, if there is one."""


def configure(name: str, settings: TelemetrySettings) -> None:
    """Sets up logging to standard error, and traces if OTEL_EXPORTER_OTLP_ENDPOINT is set. Call it first."""
    configure_logs(name, settings)
    if settings.otel_exporter_otlp_endpoint is not None:
        tracing.configure(name, settings.otel_exporter_otlp_endpoint)


def flush() -> None:
    """Sends and writes what is held back, for a process that ends without Python's own clean-up."""
    tracing.flush()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # whoever read it has gone
            stream.flush()


def configure_logs(name: str, settings: TelemetrySettings) -> None:
    """JSON lines, or coloured text on a terminal; records of the standard library's loggers take the same shape."""
    text = settings.log_format == "text" or (settings.log_format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if text
        else structlog.processors.JSONRenderer()
    )
    named: list[Any] = [] if text else [_named(name)]
    failure: list[Any] = [] if text else [_TRACEBACK]
    last = [*named, *failure, renderer]
    # Past the standard library's loggers: they would double what a line costs, and a call of the edge has a line.
    structlog.configure(
        processors=[*shared, *last],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    foreign = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=foreign))
    logging.basicConfig(handlers=[handler], level=settings.log_level.upper(), force=True)
    for library in _LOUD_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def _named(name: str) -> Any:
    def add(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        event["service"] = name
        return event

    return add
