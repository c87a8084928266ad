"""Traces of a process that exports spans, and of one that does not."""

import subprocess
import sys

from mesh.telemetry import tracing

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_process_that_exports_nothing_forwards_the_trace() -> None:
    """The trace context is forwarded unchanged, without other headers; outside of a call there is none."""
    with tracing.span("outer", "SERVER", {"traceparent": TRACEPARENT, "tracestate": "a=b", "cookie": "c"}):
        with tracing.span("inner", "CONSUMER", {}):
            assert tracing.inject() == {}
        assert tracing.inject() == {"traceparent": TRACEPARENT, "tracestate": "a=b"}
    assert tracing.inject() == {}


def test_a_process_that_exports_forwards_its_own_span() -> None:
    """The trace is the same, and the span is a child of the one in the call. Log lines have its trace id."""
    program = f"""
import os
import structlog
from mesh.telemetry import correlation, tracing
tracing.configure("test", "http://127.0.0.1:1")
for headers in ({{"traceparent": "{TRACEPARENT}"}}, {{}}):
    with correlation.bound("request", headers), tracing.span("call", "SERVER", headers):
        print(tracing.inject()["traceparent"], structlog.contextvars.get_contextvars()["trace_id"], flush=True)
os._exit(0)  # no flush of the spans: no collector runs
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    first, second = (line.split() for line in printed.splitlines())
    for traceparent, logged in (first, second):
        assert logged == traceparent.split("-")[1]
    _, trace, span, _ = first[0].split("-")
    assert trace == TRACEPARENT.split("-")[1]
    assert span != TRACEPARENT.split("-")[2]
