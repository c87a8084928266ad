"""A server that sends the frames that a test specifies, right or wrong."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from typing import Final

from hpack import Encoder

from mesh.client import Http2Transport, UnaryResponse
from mesh.errors import Metadata
from mesh.http2 import frames
from mesh.http2.frames import Frame

PATH: Final = "/plain.Service/Do"
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD: Final = [(":status", "200"), ("content-type", "application/grpc")]
OK: Final = [("grpc-status", "0")]


class Wire:
    """One connection, as frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, *sent: bytes) -> None:
        """Sends bytes."""
        self._writer.write(b"".join(sent))

    async def drain(self) -> None:
        """Waits until the other side has read most of what was sent."""
        await self._writer.drain()

    def pause_reading(self) -> None:
        """Reads nothing more."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined] # it can be read from

    def resume_reading(self) -> None:
        """Reads again."""
        self._writer.transport.resume_reading()  # type: ignore[attr-defined] # it can be read from

    async def frame(self) -> Frame:
        """Reads the next frame."""
        high, low, kind, flags, stream = struct.unpack(">BHBBL", await self._reader.readexactly(9))
        return kind, flags, stream, await self._reader.readexactly(high << 16 | low)

    async def next(self, *kinds: int) -> Frame:
        """Reads the next frame of one of these types, and skips the others."""
        while True:
            found = await self.frame()
            if found[0] in kinds:
                return found

    async def error_code(self) -> int:
        """Reads the GOAWAY with which the other side ends the connection. Returns its error code."""
        _, _, _, payload = await self.next(frames.GOAWAY)
        code: int = struct.unpack(">LL", payload)[1]
        return code

    async def reset_code(self) -> tuple[int, int]:
        """Reads the next RST_STREAM. Returns the stream and the error code."""
        _, _, stream, payload = await self.next(frames.RST_STREAM)
        return stream, struct.unpack(">L", payload)[0]

    async def wait_closed(self) -> None:
        """Reads until the other side has closed the connection."""
        while await self._reader.read(65_536):
            pass

    async def close(self) -> None:
        """Closes the connection."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Peer(Wire):
    """One connection, from the side of the server."""

    async def start(self, settings: dict[int, int] | None = None) -> None:
        """Reads the preface and sends the settings."""
        await self.read_preface()
        self.send(frames.settings(settings or {}))

    async def read_preface(self) -> None:
        """Reads the preface."""
        assert await self._reader.readexactly(len(PREFACE)) == PREFACE

    def send_eof(self) -> None:
        """Closes the server's side of the connection."""
        self._writer.write_eof()

    async def request(self) -> int:
        """Reads a request to its end. Returns the stream."""
        while True:
            kind, flags, stream, _ = await self.next(frames.HEADERS, frames.DATA)
            if flags & frames.END_STREAM and kind in (frames.HEADERS, frames.DATA):
                return stream

    def answer(self, stream: int, message: bytes = b"answer") -> None:
        """Answers a call."""
        self.send(head(stream), data(stream, prefixed(message)), trailers(stream))


Script = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(*scripts: Script) -> AsyncIterator[str]:
    """Runs a script for each connection, the last one for all others. Returns the address."""
    tasks: list[asyncio.Task[None]] = []
    left = list(scripts)

    async def play(peer: Peer, script: Script) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await script(peer)
        finally:
            await peer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = left.pop(0) if len(left) > 1 else left[0]
        tasks.append(asyncio.create_task(play(Peer(reader, writer), script)))

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            # They end by themselves when the client has closed its connections, of which the last may just begin.
            while not all(task.done() for task in tasks):
                await asyncio.gather(*tasks, return_exceptions=True)
    for task in tasks:
        task.result()


@contextlib.asynccontextmanager
async def transport_to(address: str, keepalive_s: float = 30.0) -> AsyncIterator[Http2Transport]:
    """Opens a transport."""
    transport = Http2Transport(address, None, keepalive_s)
    try:
        yield transport
    finally:
        await transport.close()


async def call(
    transport: Http2Transport, message: bytes = b"question", *, timeout_s: float = 30.0, connect_s: float | None = None
) -> UnaryResponse:
    """Calls a unary method, as a channel does."""
    response = await unary(transport, message, timeout_s=timeout_s, connect_s=connect_s)
    assert response is not None
    return response


async def unary(
    transport: Http2Transport,
    message: bytes,
    *,
    timeout_s: float = 30.0,
    connect_s: float | None = None,
    metadata: Metadata = (),
) -> UnaryResponse | None:
    """Calls a unary method. Half of the time, or `connect_s`, is for the connection, as in a channel."""
    begun = time.monotonic()
    connect_by, deadline = begun + (timeout_s / 2 if connect_s is None else connect_s), begun + timeout_s
    return await transport.unary(PATH, message, connect_by=connect_by, deadline=deadline, metadata=metadata)


async def serve_well(peer: Peer) -> None:
    """Answers every call."""
    await peer.start()
    while True:
        peer.answer(await peer.request())


def block(fields: list[tuple[str, str]]) -> bytes:
    """Returns a header block, by another implementation of HPACK."""
    return _block(tuple(fields))


@cache  # the implementation is slow, and tests send a block a thousand times
def _block(fields: tuple[tuple[str, str], ...]) -> bytes:
    encoder = Encoder()
    encoder.header_table_size = 0
    encoded: bytes = encoder.encode(fields)
    return encoded


def head(stream: int, fields: list[tuple[str, str]] = HEAD, flags: int = frames.END_HEADERS) -> bytes:
    """Returns HEADERS."""
    return frames.frame(frames.HEADERS, flags, stream, block(fields))


def trailers(stream: int, fields: list[tuple[str, str]] = OK) -> bytes:
    """Returns the HEADERS that end a stream."""
    return head(stream, fields, frames.END_HEADERS | frames.END_STREAM)


def data(stream: int, payload: bytes, flags: int = 0) -> bytes:
    """Returns DATA."""
    return frames.frame(frames.DATA, flags, stream, payload)


def prefixed(message: bytes) -> bytes:
    """Returns a message with its prefix."""
    return struct.pack(">BL", 0, len(message)) + message
