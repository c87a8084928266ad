"""The request that work in the background comes from."""

import structlog

from mesh.telemetry import correlation, tracing
from mesh.telemetry.origin import Origin

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def test_work_continues_a_request() -> None:
    """Its ids are in the log lines, and what the work causes has the same origin."""
    headers = {"traceparent": TRACEPARENT}
    with correlation.bound("case-1", headers), tracing.span("call", "SERVER", headers):
        origin = Origin.current()
    assert origin == Origin("case-1", TRACEPARENT)
    with origin.continued("work"):
        assert structlog.contextvars.get_contextvars() == {"request_id": "case-1", "trace_id": TRACE}
        assert Origin.current() == origin
    assert Origin.current() == Origin(None, None)


def test_work_without_an_origin_has_an_id_of_its_own() -> None:
    """As work that began before origins were kept: its log lines belong together."""
    ids = []
    for _ in range(2):
        with Origin(None, None).continued("work"):
            ids.append(correlation.request_id())
    assert all(map(correlation.is_safe, ids))
    assert ids[0] != ids[1]
