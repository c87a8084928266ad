"""The logs of a process."""

import json
import os
import re
import subprocess
import sys

import pytest

FAILING = """
import structlog
from mesh.settings import ProcessSettings
from mesh.telemetry import configure_logs

def sign_in(password):
    raise RuntimeError("out of memory")

configure_logs("test", ProcessSettings(log_format="{log_format}"))
try:
    sign_in("pass" + "word-of-ada")
except RuntimeError as error:
    structlog.get_logger().error("failed", exc_info=error)
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_a_logged_error_holds_no_values_of_variables(log_format: str) -> None:
    """A traceback has functions and the error's message, but no local variables."""
    code = FAILING.format(log_format=log_format)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sign_in" in ran.stderr
    assert "out of memory" in ran.stderr
    assert "password-of-ada" not in ran.stderr


LOSING = """
import structlog, sys
from mesh import audit
from mesh.settings import ProcessSettings
from mesh.telemetry import configure_logs

configure_logs("test", ProcessSettings(log_format="{log_format}"))
{line}
print("worked")
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("line", ["structlog.get_logger().error('lost')", "audit.record('lost')"])
@pytest.mark.parametrize("device", ["/dev/full", "pipe", "closed"])
def test_logs_that_cannot_be_written_stop_no_work(device: str, line: str, log_format: str) -> None:
    """A process keeps running if the disk of its log is full, or the reader of its log has ended. So it does if a line
    of the audit log is lost, which may tell of what is committed.
    """
    code = LOSING.format(line=f"sys.stderr.close(); {line}" if device == "closed" else line, log_format=log_format)
    if device == "pipe":
        reader, writer = os.pipe()
        os.close(reader)
    else:
        writer = os.open("/dev/full", os.O_WRONLY)
    try:
        command = [sys.executable, "-c", code]
        ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=writer, text=True, check=False, timeout=60)
    finally:
        os.close(writer)
    assert ran.stdout == "worked\n"


def test_every_value_is_logged() -> None:
    """Large numbers, invalid Unicode and objects without a form in JSON don't lose the line."""
    code = """
import structlog
from mesh.settings import ProcessSettings
from mesh.telemetry import configure_logs

configure_logs("test", ProcessSettings(log_format="json"))
structlog.get_logger().error("odd", number=2**70, text="a\\udc80", object=object)
structlog.get_logger().error("ö")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    odd, plain = map(json.loads, ran.stderr.splitlines())
    assert (odd["number"], odd["text"], odd["object"]) == (2**70, "a\udc80", "<class 'object'>")
    assert plain["event"] == "ö"


CALLED = """
import structlog
from mesh.settings import ProcessSettings
from mesh.telemetry import configure_logs, log_call

configure_logs("test", ProcessSettings(log_format="{log_format}", log_level="{log_level}"))
structlog.contextvars.bind_contextvars(request_id="in the context", trace_id="1")
fields = dict(status=200, caller="\\ud800\\n", request_id="given", bytes=2**70)
log_call("request", fields)
structlog.get_logger().info("request", **fields)
"""


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize(("log_level", "count"), [("debug", 2), ("info", 2), ("warning", 0)])
def test_a_call_is_logged_as_by_a_logger(log_format: str, log_level: str, count: int) -> None:
    """log_call() writes the line of a structlog logger, but for the time, if the level admits it."""
    code = CALLED.format(log_format=log_format, log_level=log_level)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = [re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "(time)", line) for line in ran.stderr.splitlines()]
    assert len(lines) == count
    assert len(set(lines)) == min(count, 1)
    assert all("(time)" in line and "given" in line and "in the context" not in line for line in lines)
