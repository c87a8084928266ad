"""How a WebSocket ends: the code and the reason of its close frame tell the gRPC status.

RFC 6455, section 7.4.2, leaves the codes from 4000 on to applications: a status that is not OK is 4000 plus its code.
"""

from typing import Final

from mesh.errors import InvalidArgument, MeshError, Unavailable

NORMAL: Final = 1000
UNSUPPORTED_DATA: Final = 1003
SERVICE_RESTART: Final = 1012
"""https://www.iana.org/assignments/websocket: a client may come back at once."""

_STATUS_BASE: Final = 4000
_REASON_BYTES_MAX: Final = 123  # RFC 6455, section 5.5: a control frame holds 125 bytes, of which the code takes two


class WrongFrame(InvalidArgument):
    """A frame of the kind that this stream does not take."""


class Restart(Unavailable):
    """The server stops."""


def close_code(error: MeshError) -> int:
    """The code of the close frame after an error."""
    if isinstance(error, WrongFrame):
        return UNSUPPORTED_DATA
    return SERVICE_RESTART if isinstance(error, Restart) else _STATUS_BASE + error.code


def close_reason(error: MeshError) -> str:
    """The name of the status and as much of the message as there is room for."""
    reason = f"{error.code.name}: {error.message}".encode(errors="replace")
    return reason[:_REASON_BYTES_MAX].decode(errors="ignore")
