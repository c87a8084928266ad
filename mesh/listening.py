"""Listening sockets: a port is taken before its server is ready to accept connections."""

import errno
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from mesh.errors import MeshError

BACKLOG: Final = 2048


class PortInUse(MeshError):
    """The port to listen on is in use by another process."""


def bind(host: str, port: int) -> socket.socket:
    """Returns a TCP socket with the port, which refuses connections until listen(). Raises PortInUse with a message
    that names the port.
    """
    return _bind(host, port, socket.SO_REUSEADDR)


def bind_together(host: str, port: int, count: int) -> list[socket.socket]:
    """Returns this number of sockets with one port. The system spreads connections over those that listen, by the
    address and port of the client (socket(7), SO_REUSEPORT). Raises PortInUse.
    """
    with bind(
        host, port
    ) as probe:  # SO_REUSEPORT would share the port with any other process of this user that sets it
        chosen = probe.getsockname()[1]
    return [_bind(host, chosen, socket.SO_REUSEADDR, socket.SO_REUSEPORT) for _ in range(count)]


def listen(bound: socket.socket) -> None:
    """Makes a bound socket listen. Raises PortInUse if another process, which bound the port too, was first."""
    try:
        bound.listen(BACKLOG)
    except OSError as error:
        host, port = bound.getsockname()[:2]
        raise _failed(host, port, error) from error


def check_alone(together: Sequence[socket.socket]) -> None:
    """Raises PortInUse if another process listens on the port that these sockets share. It may have bound the port too
    before either listened, and their listen() would share it. Has no effect once one of them listens.

    A socket alone finds that process by its own listen(). Other systems than Linux refuse a second socket for a port
    that is bound, also if nobody listens.
    """
    shared = len(together) > 1 and sys.platform == "linux"
    if shared and not any(each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for each in together):
        bind(*together[0].getsockname()[:2]).close()


def refuse(bound: socket.socket) -> None:
    """Refuses connections in all processes that have the socket, until listen(). After a close in one process, the
    system would still accept connections for the others.
    """
    # On a socket that nobody listens on, a shutdown would stay: Linux would end each connection accepted later.
    if bound.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        with suppress(OSError):  # other systems than Linux have no shutdown of listening sockets
            bound.shutdown(socket.SHUT_RDWR)


def _bind(host: str, port: int, *options: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only if the socket names its protocol. Without it, replies came 40 ms late.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    for option in options:
        bound.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise _failed(host, port, error) from error
    return bound


def _failed(host: str, port: int, error: OSError) -> MeshError:
    text = f"Can't listen on {host}:{port}: {error.strerror}."
    if error.errno != errno.EADDRINUSE:
        return MeshError(text)
    return PortInUse(f"{text} Choose another port, or stop the process that uses it.")
