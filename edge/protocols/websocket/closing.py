"""The close frames of WebSockets, whose code and reason stand for the gRPC status.

RFC 6455, section 7.4.2, leaves the codes from 4000 on to applications. The close code of a status other than OK is 4000
plus its gRPC code.
"""

from typing import Final

from mesh.errors import InvalidArgument, MeshError, Unavailable

NORMAL: Final = 1000
UNSUPPORTED_DATA: Final = 1003
SERVICE_RESTART: Final = 1012
"""https://www.iana.org/assignments/websocket: a client may reconnect at once."""

_STATUS_BASE: Final = 4000
_REASON_BYTES_MAX: Final = 123  # RFC 6455, section 5.5: a control frame holds 125 bytes, of which the code takes two


class UnsupportedFrame(InvalidArgument):
    """A text frame where the stream takes binary ones, or the reverse."""


class ServiceRestart(Unavailable):
    """The stop of the server, after which the client may reconnect."""


def close_code(error: MeshError) -> int:
    """Returns the code of the close frame after an error."""
    if isinstance(error, UnsupportedFrame):
        return UNSUPPORTED_DATA
    return SERVICE_RESTART if isinstance(error, ServiceRestart) else _STATUS_BASE + error.code


def close_reason(error: MeshError) -> str:
    """Returns the name of the status, and as much of the message as fits into a close frame."""
    reason = f"{error.code.name}: {error.message}".encode(errors="replace")
    return reason[:_REASON_BYTES_MAX].decode(errors="ignore")
