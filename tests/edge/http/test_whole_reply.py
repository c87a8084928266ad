"""Complete replies: what is written to the socket, and when."""

from types import SimpleNamespace
from typing import Any

import pytest

from edge.http.headers import Headers
from edge.http.whole_reply import COPIED_BYTES_MAX, send_whole

HEADERS: Headers = [(b"content-type", b"text/plain"), (b"content-length", b"2")]


class Transport:
    """A transport that notes each system call."""

    def __init__(self) -> None:
        self.calls: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Notes a write."""
        self.calls.append(data)

    def writelines(self, pieces: list[bytes]) -> None:
        """Notes a write of several pieces."""
        self.calls.append(b"".join(pieces))


def cycle_of(**state: Any) -> Any:
    """Returns what uvicorn knows of a request, with an open connection whose client reads."""
    usual: dict[str, Any] = {
        "scope": {"method": "GET"},
        "transport": Transport(),
        "flow": SimpleNamespace(write_paused=False),
        "default_headers": [(b"date", b"now")],
        "message_event": SimpleNamespace(set=lambda: None),
        "on_response": lambda: None,
        "disconnected": False,
        "keep_alive": True,
        "response_started": False,
        "response_complete": False,
        "waiting_for_100_continue": True,
    }
    return SimpleNamespace(**usual | state)


@pytest.mark.parametrize("size", [2, COPIED_BYTES_MAX + 1])
def test_a_reply_is_one_write(size: int) -> None:
    """Head and body leave together, and uvicorn then takes the reply for complete."""
    cycle = cycle_of()
    assert send_whole(lambda: cycle, 200, HEADERS, b"x" * size)
    head = b"HTTP/1.1 200 OK\r\ndate: now\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n"
    assert cycle.transport.calls == [head + b"x" * size]
    assert (cycle.response_started, cycle.response_complete, cycle.waiting_for_100_continue) == (True, True, False)


def test_a_reply_to_head_has_no_body() -> None:
    """It has the headers of the reply to GET."""
    cycle = cycle_of(scope={"method": "HEAD"})
    assert send_whole(lambda: cycle, 200, HEADERS, b"ok")
    assert cycle.transport.calls[0].endswith(b"content-length: 2\r\n\r\n")


@pytest.mark.parametrize(
    "state",
    [{"keep_alive": False}, {"flow": SimpleNamespace(write_paused=True)}, {"response_started": True}],
    ids=["last-on-its-connection", "client-does-not-read", "already-started"],
)
def test_the_rest_is_left_to_uvicorn(state: dict[str, Any]) -> None:
    """Nothing is written."""
    cycle = cycle_of(**state)
    assert not send_whole(lambda: cycle, 200, HEADERS, b"ok")
    assert cycle.transport.calls == []


def test_a_reply_that_ends_the_connection_is_left_to_uvicorn() -> None:
    """uvicorn closes the connection after it."""
    cycle = cycle_of()
    assert not send_whole(lambda: cycle, 408, [(b"connection", b"close")], b"")
    assert cycle.transport.calls == []


def test_a_client_that_has_left_gets_nothing() -> None:
    """The reply counts as sent."""
    cycle = cycle_of(disconnected=True)
    assert send_whole(lambda: cycle, 200, HEADERS, b"ok")
    assert cycle.transport.calls == []


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\0b", b"a\x7fb"])
def test_a_header_can_not_smuggle_in_another(value: bytes) -> None:
    """Control characters are an error, and nothing is sent."""
    cycle = cycle_of()
    with pytest.raises(ValueError, match="control character"):
        send_whole(lambda: cycle, 200, [(b"x-note", value)], b"ok")
    assert cycle.transport.calls == []
