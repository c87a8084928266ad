"""A client that sends the frames that a test specifies, right or wrong, and a server with a handler of each kind."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from hpack import Decoder

from mesh.errors import Code
from mesh.http2 import frames
from mesh.http2.connection import PREFACE
from mesh.http2.frames import Frame
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.server import Http2Server
from mesh.listening import bind
from tests.mesh.http2.scripted import block, data, prefixed

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
ENDS: Final = frames.END_STREAM | frames.END_HEADERS
GRACE_S: Final = 0.2

Serve = Callable[[ServerCall], Awaitable[None]]
Fields = list[tuple[str, str]]


class Handlers:
    """The methods of the server, and what has become of their calls."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.requests: list[bytes] = []
        self.go = asyncio.Event()
        """Lets the calls of Wait end."""

    def routes(self) -> dict[str, Route]:
        """Returns the routes."""
        singles = {"Echo": self._echo, "Wait": self._wait, "Repeat": self._repeat, "Large": self._large}
        streams = {"Echoes": self._echoes, "Hang": self._wait, "Fail": self._fail}
        return {
            f"/plain.Service/{name}": Route(serve, takes_stream, MESSAGE_BYTES_MAX)
            for methods, takes_stream in ((singles, False), (streams, True))
            for name, serve in methods.items()
        }

    async def _echo(self, call: ServerCall) -> None:
        self.requests.append(call.request())
        call.finish(call.request())

    async def _wait(self, call: ServerCall) -> None:
        self.begun += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        call.finish(b"waited")

    async def _repeat(self, call: ServerCall) -> None:
        """Sends a message as often as it says."""
        count, size = struct.unpack(">LL", call.request())
        for _ in range(count):
            await call.write(bytes(size))
        call.finish()

    async def _large(self, call: ServerCall) -> None:
        """Sends a single message as large as the request says."""
        call.finish(bytes(struct.unpack(">L", call.request())[0]))

    async def _echoes(self, call: ServerCall) -> None:
        async with contextlib.aclosing(call.requests()) as requests:
            async for request in requests:
                await call.write(request)
        call.finish()

    async def _fail(self, call: ServerCall) -> None:
        call.abort(Code.NOT_FOUND, "50 % of\nÄ ~\x7f", (("x-a", " a "), ("x-b-bin", b"\0\xff"), ("x-b-bin", b"")))


@dataclass
class Response:
    """The part of a response that has arrived."""

    headers: Fields = field(default_factory=list)
    trailers: Fields = field(default_factory=list)
    content: bytes = b""
    reset_code: int | None = None

    @property
    def code(self) -> str | None:
        """Returns grpc-status."""
        return dict(self.trailers).get("grpc-status")

    @property
    def text(self) -> str:
        """Returns grpc-message, as it was sent."""
        return dict(self.trailers).get("grpc-message", "")


class Client:
    """One connection, from the side of the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.decoder = Decoder()

    def start(self, settings: dict[int, int] | None = None) -> None:
        """Sends the preface and the settings."""
        self.send(PREFACE, frames.settings(settings or {}))

    def send(self, *sent: bytes) -> None:
        """Sends bytes."""
        self._writer.write(b"".join(sent))

    async def drain(self) -> None:
        """Waits until the server has read most of what was sent."""
        await self._writer.drain()

    def pause_reading(self) -> None:
        """Reads nothing more."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined] # it can be read from

    def reset(self) -> None:
        """Closes the connection without a word."""
        self._writer.transport.abort()

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

    async def settle(self) -> None:
        """Waits until the server has handled what was sent."""
        self.send(frames.frame(frames.PING, 0, 0, b"settling"))
        while (await self.next(frames.PING))[3] != b"settling":
            pass

    async def response(self, stream: int) -> Response:
        """Reads a response to its end, and skips the frames of other streams."""
        response = Response()
        while True:
            kind, flags, of, payload = await self.next(frames.HEADERS, frames.DATA, frames.RST_STREAM, frames.GOAWAY)
            assert kind != frames.GOAWAY or payload[4:8] == bytes(4), payload
            decoded = [] if kind != frames.HEADERS else self.decode(flags, payload)
            if of != stream:
                continue
            if kind == frames.DATA:
                response.content += payload
            elif kind == frames.RST_STREAM:
                response.reset_code = struct.unpack(">L", payload)[0]
                return response
            elif flags & frames.END_STREAM:
                response.trailers = decoded
            else:
                response.headers = decoded
            if flags & frames.END_STREAM:
                return response

    def decode(self, flags: int, payload: bytes) -> Fields:
        """Returns the fields of a header block, by another implementation of HPACK."""
        assert flags & frames.END_HEADERS
        return [(str(name), str(value)) for name, value in self.decoder.decode(payload)]

    async def error_code(self) -> int:
        """Reads the GOAWAY with which the server ends the connection. Returns its error code."""
        _, _, _, payload = await self.next(frames.GOAWAY)
        code: int = struct.unpack(">LL", payload)[1]
        return code

    async def reset_code(self) -> tuple[int, int]:
        """Reads the next RST_STREAM. Returns the stream and the error code."""
        _, _, stream, payload = await self.next(frames.RST_STREAM)
        return stream, struct.unpack(">L", payload)[0]

    async def wait_closed(self) -> None:
        """Reads until the server has closed the connection."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65_536):
                pass

    async def close(self) -> None:
        """Closes the connection."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@dataclass
class Serving:
    """A server that runs, with its handlers."""

    server: Http2Server
    handlers: Handlers
    port: int

    @property
    def held_bytes(self) -> int:
        """Returns the memory of all requests and responses."""
        return self.server.load.requests._count + self.server.load.responses._count

    @contextlib.asynccontextmanager
    async def client(self, settings: dict[int, int] | None = None, *, starts: bool = True) -> AsyncIterator[Client]:
        """Connects a client."""
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port))
        if starts:
            client.start(settings)
        try:
            yield client
        finally:
            await client.close()

    async def check(self) -> None:
        """Makes a call on a new connection."""
        async with self.client() as client:
            client.send(request(1))
            assert (await client.response(1)).content == prefixed(b"question")


@contextlib.asynccontextmanager
async def serving(
    *, calls_max: int = 2_000, connection_age_s: float = 3_600.0, **singles: Serve
) -> AsyncIterator[Serving]:
    """Runs a server. Those of `singles` replace handlers of calls with a single request."""
    handlers = Handlers()
    routes = handlers.routes()
    for name, serve in singles.items():
        routes[f"/plain.Service/{name}"] = Route(serve, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX)
    server = Http2Server(routes, calls_max=calls_max, connection_age_s=connection_age_s)
    bound = bind("127.0.0.1", 0)
    await server.start(bound)
    try:
        yield Serving(server, handlers, bound.getsockname()[1])
    finally:
        handlers.go.set()
        await server.stop(GRACE_S)


def fields(name: str = "Echo", /, **changed: str | None) -> Fields:
    """Returns the fields of a request. Those of `changed` replace others, None removes them; `_` is for `-`."""
    found = {
        ":method": "POST",
        ":scheme": "http",
        ":path": f"/plain.Service/{name}",
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    pseudo = {":" + key: value for key, value in changed.items() if ":" + key in found}
    others = {key.replace("_", "-"): value for key, value in changed.items() if ":" + key not in found}
    return [(key, value) for key, value in (found | pseudo | others).items() if value is not None]


def head(stream: int, sent: Fields | None = None, flags: int = frames.END_HEADERS) -> bytes:
    """Returns the HEADERS of a request."""
    return frames.frame(frames.HEADERS, flags, stream, block(fields() if sent is None else sent))


def request(stream: int, method: str = "Echo", message: bytes = b"question") -> bytes:
    """Returns a whole request."""
    return head(stream, fields(method)) + data(stream, prefixed(message), frames.END_STREAM)
