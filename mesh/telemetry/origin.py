"""The request that work in the background comes from, kept in the row of a table until the work is done."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from mesh.telemetry import correlation, tracing


@dataclass(frozen=True, slots=True)
class Origin:
    """The request or event that caused something: its request id and its W3C Trace Context, None without one."""

    request_id: str | None
    traceparent: str | None

    @classmethod
    def current(cls) -> Self:
        """Returns what is being handled in the current context."""
        return cls(correlation.request_id() or None, tracing.inject().get("traceparent"))

    @property
    def trace_headers(self) -> Mapping[str, str]:
        """Returns the trace as headers, empty if there is none."""
        return {"traceparent": self.traceparent} if self.traceparent else {}

    @contextmanager
    def continued(self, work: str) -> Iterator[None]:
        """Continues the request in this block: in the log lines, calls and events, and as the span `work` of its trace.
        Work without an origin gets an id of its own.
        """
        with (
            correlation.bound(correlation.safe_request_id(self.request_id or ""), self.trace_headers),
            tracing.span(work, "CONSUMER", self.trace_headers),
        ):
            yield
