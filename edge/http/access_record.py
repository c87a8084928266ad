"""The access record of a request: an entry in the access log, and metrics by RPC."""

import functools
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from prometheus_client import Counter, Histogram

from edge.http.request_id import request_id
from mesh.telemetry import correlation, log_call

log = structlog.get_logger()

REQUESTS: Final = Counter(
    "edge_requests_total", "Requests answered, by RPC, HTTP status and the gRPC code.", ["rpc", "status", "code"]
)
SECONDS: Final = Histogram("edge_request_seconds", "Time to answer a request, by RPC.", ["rpc"])

NO_RPC: Final = "none"
"""The RPC label of requests without a route, so that unknown paths don't create labels."""


class RpcMetrics:
    """The metrics of one RPC, with cached labels."""

    def __init__(self, rpc: str) -> None:
        self.rpc = rpc
        self._seconds = SECONDS.labels(rpc)
        self._by_outcome: dict[tuple[int, str], Any] = {}

    def count(self, status: int, code: str, seconds: float) -> None:
        """Counts a response. `code` is the final code, which for a stream may differ from the status of its head."""
        counter = self._by_outcome.get((status, code))
        if counter is None:
            counter = self._by_outcome[status, code] = REQUESTS.labels(self.rpc, str(status), code)
        counter.inc()
        self._seconds.observe(seconds)


@functools.cache
def _unmatched() -> RpcMetrics:
    # Not made at import: the process may be the parent of workers, which keep metrics of their own.
    return RpcMetrics(NO_RPC)


@dataclass(slots=True)
class AccessRecord:
    """The fields of a request in the access log; each stage sets those that it knows. The request began at the
    time.monotonic() second `started_at`.
    """

    method: str
    request_id: str
    started_at: float
    metrics: RpcMetrics = field(default_factory=_unmatched)
    route: str = ""
    caller: str = ""
    status: int = 0
    code: str = "OK"
    request_bytes: int = 0
    response_bytes: int = 0
    is_poll: bool = False
    """Whether it is a long poll. Clients repeat these for as long as they run, so successes are logged at debug."""

    @classmethod
    def begin(cls, method: str, headers: Mapping[bytes, bytes]) -> "AccessRecord":
        """Starts the record of a request, and binds the request's ids to all log entries of the current task."""
        record = cls(method, request_id(headers), time.monotonic())
        traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        correlation.bind(record.request_id, {"traceparent": traceparent})
        return record

    def write(self) -> None:
        """Logs the request and updates the metrics."""
        seconds = time.monotonic() - self.started_at
        entry = {
            "method": self.method,
            "route": self.route,
            "rpc": self.metrics.rpc,
            "status": self.status,
            "code": self.code,
            "ms": round(seconds * 1000, 1),
            "request_bytes": self.request_bytes,
            "response_bytes": self.response_bytes,
            "request_id": self.request_id,
            "caller": self.caller,
        }
        if self.is_poll and self.code == "OK":
            log.debug("request", **entry)
        else:
            log_call("request", entry)
        self.metrics.count(self.status, self.code, seconds)
