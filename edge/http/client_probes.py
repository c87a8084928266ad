"""Detection of clients that vanish: nothing more arrives from them, and no end of their connection either.

Their machine or their network has failed. Or they have closed a connection whose receive buffer is full, because the
edge reads nothing: their system sends the end behind the data, and gives up after some minutes.

The probes are for connections on which nothing is on its way to the client; StallTimer sees to the others. Behind a
proxy, such as an ingress or a sidecar, the client is that proxy.
"""

import socket
from typing import Final

SILENCE_S: Final = 60
"""The time without a segment from a client after which its system is probed."""

PAUSE_S: Final = 15
"""The time between probes."""

COUNT: Final = 4
"""The number of probes without an answer that ends a connection."""


def probe_clients(listener: socket.socket) -> None:
    """Makes the operating system probe silent clients (RFC 9293, section 3.8.4) on all connections that the socket
    accepts, which inherit its options.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", SILENCE_S), ("TCP_KEEPINTVL", PAUSE_S), ("TCP_KEEPCNT", COUNT)):
        if (option := getattr(socket, name, None)) is not None:  # not every system has each
            listener.setsockopt(socket.IPPROTO_TCP, option, value)
