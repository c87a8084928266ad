"""What is told about each call: a line in the log, metrics by RPC, a span if traces are on."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog
from prometheus_client import Counter, Histogram

from mesh import correlation

log = structlog.get_logger()

REQUESTS: Final = Counter(
    "edge_requests_total", "Requests answered, by RPC, HTTP status and the gRPC code.", ["rpc", "status", "code"]
)
SECONDS: Final = Histogram("edge_request_seconds", "Time to answer a request, by RPC.", ["rpc"])

NO_RPC: Final = "none"
"""The RPC of a request that reached none, so that what clients invent makes no labels."""


class RpcMetrics:
    """The metrics of one RPC, looked up once."""

    def __init__(self, rpc: str) -> None:
        self.rpc = rpc
        self._seconds = SECONDS.labels(rpc)
        self._by_outcome: dict[tuple[int, str], Any] = {}

    def count(self, status: int, code: str, seconds: float) -> None:
        """Counts an answer. The code tells of the end of a stream, whose status was sent at its beginning."""
        counter = self._by_outcome.get((status, code))
        if counter is None:
            counter = self._by_outcome[status, code] = REQUESTS.labels(self.rpc, str(status), code)
        counter.inc()
        self._seconds.observe(seconds)


@dataclass(slots=True)
class AccessRecord:
    """What the access log says of a request; stages fill in what they find."""

    method: str
    request_id: str
    started_s: float
    metrics: RpcMetrics
    route: str = ""
    caller: str = ""
    status: int = 0
    code: str = "OK"
    request_bytes: int = 0
    response_bytes: int = 0

    def bind(self, headers: Mapping[bytes, bytes]) -> None:
        """Adds the request's ids to all lines of the task that serves it."""
        traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        correlation.bind(self.request_id, {"traceparent": traceparent})

    def write(self) -> None:
        """Writes the line and counts the request."""
        seconds = time.perf_counter() - self.started_s
        log.info(
            "request",
            method=self.method,
            route=self.route,
            rpc=self.metrics.rpc,
            status=self.status,
            code=self.code,
            ms=round(seconds * 1000, 1),
            request_bytes=self.request_bytes,
            response_bytes=self.response_bytes,
            request_id=self.request_id,
            caller=self.caller,
        )
        self.metrics.count(self.status, self.code, seconds)
