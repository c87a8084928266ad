"""A server of methods that a test specifies, and clients that send it the frames that a test specifies."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from hpack import Decoder

from mesh.http2 import frames
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.server import Http2Server
from mesh.listening import bind
from tests.mesh.http2.scripted import PATH, PREFACE, Peer, block, data, prefixed

REQUEST: Final = (
    *((":method", "POST"), (":scheme", "http"), (":path", PATH), (":authority", "server")),
    *(("te", "trailers"), ("content-type", "application/grpc")),
)
MESSAGE_BYTES_MAX: Final = 4_194_304


class Serving:
    """A server that runs, and its port."""

    def __init__(self, server: Http2Server, port: int) -> None:
        self.server = server
        self.port = port

    def dialed(self, settings: dict[int, int] | None = None) -> contextlib.AbstractAsyncContextManager[Peer]:
        """Opens a connection to it."""
        return dialed(self.port, settings)


@contextlib.asynccontextmanager
async def dialed(port: int, settings: dict[int, int] | None = None) -> AsyncIterator[Peer]:
    """Opens a connection, and sends the preface and the settings."""
    peer = Peer(*await asyncio.open_connection("127.0.0.1", port))
    peer.send(PREFACE, frames.settings(settings or {}))
    try:
        yield peer
    finally:
        await peer.close()


@contextlib.asynccontextmanager
async def serving(
    serve: Callable[[ServerCall], Awaitable[None]],
    *,
    takes_stream: bool = False,
    calls_max: int = 100,
    connection_age_s: float = 600.0,
    sent_bytes: int = 0,
) -> AsyncIterator[Serving]:
    """Starts a server with one method. With `sent_bytes` the system keeps no more for clients that do not read."""
    route = Route(serve, takes_stream, MESSAGE_BYTES_MAX)
    server = Http2Server({PATH: route}, calls_max=calls_max, connection_age_s=connection_age_s)
    bound = bind("127.0.0.1", 0)
    if sent_bytes:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sent_bytes)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, sent_bytes)
    await server.start(bound)
    try:
        yield Serving(server, bound.getsockname()[1])
    finally:
        await server.stop(0)


def opening(stream: int, fields: Sequence[tuple[str, str]] = (), flags: int = 0) -> bytes:
    """Returns the HEADERS of a request, with more fields."""
    return frames.frame(frames.HEADERS, frames.END_HEADERS | flags, stream, block([*REQUEST, *fields]))


def request(stream: int, message: bytes = b"question", fields: Sequence[tuple[str, str]] = ()) -> bytes:
    """Returns a whole request of one message."""
    return opening(stream, fields) + data(stream, prefixed(message), frames.END_STREAM)


async def status(peer: Peer, stream: int) -> str:
    """Reads until a stream ends. Returns its grpc-status."""
    while True:
        _, flags, found, payload = await peer.next(frames.HEADERS)
        if found == stream and flags & frames.END_STREAM:
            fields: dict[Any, Any] = dict(Decoder().decode(payload))
            code: str = fields["grpc-status"]
            return code
