"""An extension of ASGI: a complete reply is one message, and leaves in one system call.

ASGI has two messages for it. uvicorn writes each to the socket, and searches each header by itself.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from edge.http.headers import Headers
from mesh.gathered_write import write_gathered

EXTENSION: Final = "edge.whole_reply"
"""The name in the scope's extensions. `send` in its value is a SendWhole. Servers without it take ASGI's messages."""

COPIED_BYTES_MAX: Final = 16_384
"""The largest body that is copied behind its head."""

SendWhole: TypeAlias = Callable[[int, Headers, bytes], bool]
"""Sends a status, headers with names in lower case, and a body. Returns False, and sends nothing, if ASGI's messages
are needed: the client has to be waited for, or the connection ends with this reply.
"""

_CONTROLS: Final = bytes([*range(9), *range(10, 32), 127])  # not in a field's name or value: RFC 9110, section 5.5


def send_whole(
    weak_cycle: Callable[[], RequestResponseCycle | None], status: int, headers: Headers, body: bytes
) -> bool:
    """Sends the reply of uvicorn's cycle of one request, to which there is a weak reference, as SendWhole does."""
    cycle = weak_cycle()
    if cycle is None or cycle.disconnected:
        return True
    if cycle.response_started or cycle.flow.write_paused or not cycle.keep_alive:
        return False
    lines = [STATUS_LINE[status]]
    for name, value in (*cycle.default_headers, *headers):
        if name == b"connection":
            return False
        lines.append(b"%b: %b\r\n" % (name, value))
    lines.append(b"\r\n")
    head = b"".join(lines)
    if len(head.translate(None, _CONTROLS)) != len(head) - 2 * len(lines):
        raise ValueError("A header has a control character.")
    if cycle.scope["method"] == "HEAD":
        body = b""
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    if len(body) <= COPIED_BYTES_MAX:
        cycle.transport.write(head + body)
    else:
        write_gathered(cycle.transport, [head, body])
    cycle.message_event.set()
    cycle.on_response()
    return True
