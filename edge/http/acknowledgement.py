"""The acknowledgement of what was sent to a client, by the client's system (RFC 9293, section 3.4)."""

import socket
import struct
import sys
from typing import Final

_INFO: Final = struct.Struct("=24xI92xQ")
"""The parts tcpi_unacked and tcpi_bytes_acked of struct tcp_info in Linux' linux/tcp.h."""


def unfinished_acknowledgement(connection: socket.socket) -> int | None:
    """Returns how many bytes were acknowledged, if some that were sent are not; None otherwise.

    Linux alone has these numbers. Its TCP_USER_TIMEOUT does not replace them: it also ends the connection of a client
    that reads, but so slowly that its window never has room for all that the kernel sends at once.
    """
    if sys.platform != "linux":
        return None
    unacknowledged, acknowledged = _INFO.unpack(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))
    return acknowledged if unacknowledged else None
