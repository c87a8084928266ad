"""A server of methods that take and return bytes, and a client that sends the frames that a test specifies."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from hpack import Decoder, Encoder

from mesh.errors import Code
from mesh.http2 import frames
from mesh.http2.connection import PREFACE
from mesh.http2.frames import Frame
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.server import Http2Server
from mesh.listening import bind

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024

UNARY, COUNT, SUM, ECHO, WAIT, FAIL = (
    f"/plain.Service/{name}" for name in ("Unary", "Count", "Sum", "Echo", "Wait", "Fail")
)


async def unary(call: ServerCall) -> None:
    """Returns the request."""
    call.finish(call.request())


async def count(call: ServerCall) -> None:
    """Sends the request three times."""
    for _ in range(3):
        await call.write(call.request())
    call.finish()


async def join(call: ServerCall) -> None:
    """Returns the requests, joined."""
    call.finish(b"".join([request async for request in call.requests()]))


async def echo(call: ServerCall) -> None:
    """Sends each request back."""
    async for request in call.requests():
        await call.write(request)
    call.finish()


async def wait(_call: ServerCall) -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def fail(call: ServerCall) -> None:
    """Fails with the text of the request."""
    call.abort(Code.ABORTED, call.request().decode(), (("x-bytes-bin", bytes(range(256))), ("x-text", "a")))


ROUTES: Final = {
    UNARY: Route(unary, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
    COUNT: Route(count, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
    SUM: Route(join, takes_stream=True, message_bytes_max=MESSAGE_BYTES_MAX),
    ECHO: Route(echo, takes_stream=True, message_bytes_max=MESSAGE_BYTES_MAX),
    WAIT: Route(wait, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
    FAIL: Route(fail, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX),
}


@dataclass(frozen=True)
class Served:
    """A running server, and its port."""

    server: Http2Server
    port: int


@contextlib.asynccontextmanager
async def serving(
    routes: dict[str, Route] = ROUTES, *, port: int = 0, connection_age_s: float = 300.0, grace_s: float = 5.0
) -> AsyncIterator[Served]:
    """Starts a server, on a free port unless one is given."""
    server = Http2Server(routes, calls_max=1_000, connection_age_s=connection_age_s)
    bound = bind("127.0.0.1", port)
    await server.start(bound)
    try:
        yield Served(server, bound.getsockname()[1])
    finally:
        await server.stop(grace_s)


class RawClient:
    """One connection, from the side of the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = Encoder()
        self._decoder = Decoder()

    def send(self, *sent: bytes) -> None:
        """Sends bytes."""
        self._writer.write(b"".join(sent))

    def head(self, stream: int, path: str, *more: tuple[str, str], flags: int = 0) -> bytes:
        """Returns the HEADERS of a call."""
        fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
        block = self._encoder.encode([*fields, ("te", "trailers"), ("content-type", "application/grpc"), *more])
        return frames.frame(frames.HEADERS, flags | frames.END_HEADERS, stream, block)

    async def frame(self) -> Frame:
        """Reads the next frame."""
        high, low, kind, flags, stream = struct.unpack(">BHBBL", await self._reader.readexactly(9))
        return kind, flags, stream, await self._reader.readexactly(high << 16 | low)

    async def next(self, *kinds: int) -> Frame:
        """Reads the next frame of one of these types, and skips the others."""
        while True:
            found = await self.frame()
            if found[0] == frames.HEADERS:
                found = (*found[:3], repr(self._decoder.decode(found[3])).encode())
            if found[0] in kinds:
                return found

    async def trailers(self, stream: int) -> str:
        """Reads to the end of a stream. Returns the fields of its last header block, or the error code of its reset."""
        while True:
            kind, flags, found, payload = await self.next(frames.HEADERS, frames.RST_STREAM)
            if found == stream and kind == frames.RST_STREAM:
                return f"reset {int.from_bytes(payload, 'big')}"
            if found == stream and flags & frames.END_STREAM:
                return payload.decode()


@contextlib.asynccontextmanager
async def raw_client(served: Served) -> AsyncIterator[RawClient]:
    """Opens a connection, and sends the preface."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    client = RawClient(reader, writer)
    client.send(PREFACE, frames.settings({}))
    try:
        yield client
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
