"""Setup and flush of a process's telemetry."""

import contextlib
import logging
import sys
from typing import Protocol

from mesh.telemetry import tracing
from mesh.telemetry.logs import LogSettings, configure_logs


class TelemetrySettings(LogSettings, Protocol):
    """The settings of a process that telemetry needs."""

    @property
    def otel_exporter_otlp_endpoint(self) -> str | None:
        """Returns the URL of the OpenTelemetry collector, None if there is none."""


def configure(name: str, settings: TelemetrySettings) -> None:
    """Sets up logging to standard error, and traces if OTEL_EXPORTER_OTLP_ENDPOINT is set. Call it first."""
    configure_logs(name, settings)
    configure_traces(name, settings)


def configure_traces(name: str, settings: TelemetrySettings) -> None:
    """Sets up traces if OTEL_EXPORTER_OTLP_ENDPOINT is set. They need threads, which end with a fork."""
    if settings.otel_exporter_otlp_endpoint is not None:
        tracing.configure(name, settings.otel_exporter_otlp_endpoint)


def flush() -> None:
    """Flushes spans, logs and output streams, for a process that ends without Python's own clean-up."""
    tracing.flush()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # the reader has closed it
            stream.flush()
