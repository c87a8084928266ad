"""The ids in log lines."""

import pytest
import structlog

from mesh.telemetry import correlation, tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def bound() -> dict[str, str]:
    """Returns the fields of log lines in this context."""
    return structlog.contextvars.get_contextvars()


def test_lines_have_the_ids_of_the_current_request() -> None:
    """Nested contexts use the inner ids; outside there are none."""
    with correlation.bound("outer", {"traceparent": TRACEPARENT}):
        with correlation.bound("inner", {}, event_id="7"):
            assert bound() == {"request_id": "inner", "trace_id": bound()["trace_id"], "event_id": "7"}
            assert bound()["trace_id"] != TRACE
        assert (
            bound() == {"request_id": correlation.request_id(), "trace_id": TRACE} == bound() | {"request_id": "outer"}
        )
    assert (bound(), correlation.request_id()) == ({}, "")


def test_without_a_trace_the_request_id_gives_one() -> None:
    """The trace id is the same in every process; a request id in the format of a trace id is used as it is."""
    traces = []
    for request_id in ("case-1", "case-1", "case-2", TRACE):
        with correlation.bound(request_id, {}):
            traces.append(bound()["trace_id"])
    assert traces[0] == traces[1] != traces[2]
    assert traces[3] == TRACE
    assert all(len(trace) == 32 for trace in traces)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        TRACE,
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{TRACE}-b7ad6b7169203331",
        f"00-{TRACE}-b7ad6b7169203331-01\nforged",
    ],
)
def test_a_malformed_traceparent_is_ignored(traceparent: str) -> None:
    """It is neither logged nor forwarded (https://www.w3.org/TR/trace-context/)."""
    headers = {"traceparent": traceparent, "tracestate": "a=b"}
    assert tracing.trace_id(headers) == ""
    with tracing.span("call", "SERVER", headers):
        assert tracing.inject() == {}


@pytest.mark.parametrize("given", ["", "a b", "a\n", "x" * 129, "ü", 'a"', "<a>"])
def test_an_id_that_is_not_safe_is_replaced(given: str) -> None:
    """An unsafe id is replaced by a new one."""
    first, second = correlation.safe_request_id(given), correlation.safe_request_id(given)
    assert given not in (first, second)
    assert len({first, second}) == 2


def test_an_id_that_is_safe_is_kept() -> None:
    """UUIDs, ULIDs, the trace ids of AWS and Google, and paths are kept."""
    for given in (
        "6f1c7b1e-6a35-4b43-9d53-0f0a54f3d7ba",
        "Root=1-67891233-abcdef012345678912345678",
        "x" * 128,
        "a/b:c",
    ):
        assert correlation.safe_request_id(given) == given
