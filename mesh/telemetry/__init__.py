"""Logs, metrics and traces of a process, and the ids that connect them. Knows headers and settings, but no calls."""

from mesh.telemetry.logs import configure_logs, log_call
from mesh.telemetry.setup import TelemetrySettings, configure, configure_traces, flush

__all__ = ["TelemetrySettings", "configure", "configure_logs", "configure_traces", "flush", "log_call"]
