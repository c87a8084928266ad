"""Logs, metrics and traces of a process, and the ids that join them. Knows no call, only headers and settings."""

from mesh.telemetry.logs import configure_logs
from mesh.telemetry.setup import TelemetrySettings, configure, flush

__all__ = ["TelemetrySettings", "configure", "configure_logs", "flush"]
