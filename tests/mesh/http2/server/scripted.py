"""A client that sends the frames that a test specifies, right or wrong, and a server with a handler of each kind."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hpack import Decoder, Encoder

from mesh.errors import Code
from mesh.http2 import frames
from mesh.http2.connection import PREFACE
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.server import Http2Server
from mesh.listening import bind
from tests.mesh.http2.scripted import Wire, block, data, prefixed

MESSAGE_BYTES_MAX: Final = 4 * 1024 * 1024
ENDS: Final = frames.END_STREAM | frames.END_HEADERS
GRACE_S: Final = 0.2

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
        singles = {"Do": self._echo, "Wait": self._wait, "Repeat": self._repeat, "Large": self._large}
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


class Client(Wire):
    """One connection, from the side of the client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.decoder = Decoder()

    def start(self, settings: dict[int, int] | None = None) -> None:
        """Sends the preface and the settings."""
        self.send(PREFACE, frames.settings(settings or {}))

    def reset(self) -> None:
        """Closes the connection without a word."""
        self._writer.transport.abort()

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


@contextlib.asynccontextmanager
async def client_of(port: int, settings: dict[int, int] | None = None, *, starts: bool = True) -> AsyncIterator[Client]:
    """Connects a client to a server."""
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    if starts:
        client.start(settings)
    try:
        yield client
    finally:
        await client.close()


@dataclass
class Serving:
    """A server that runs, with its handlers unless it was given routes."""

    server: Http2Server
    handlers: Handlers
    port: int

    @property
    def held_bytes(self) -> int:
        """Returns the memory of all requests and responses."""
        return self.server.load.requests._count + self.server.load.responses._count

    def client(
        self, settings: dict[int, int] | None = None, *, starts: bool = True
    ) -> contextlib.AbstractAsyncContextManager[Client]:
        """Connects a client."""
        return client_of(self.port, settings, starts=starts)

    async def check(self) -> None:
        """Makes a call on a new connection."""
        async with self.client() as client:
            client.send(request(1))
            assert (await client.response(1)).content == prefixed(b"question")


@contextlib.asynccontextmanager
async def serving(
    routes: Mapping[str, Route] | None = None,
    *,
    calls_max: int = 2_000,
    connection_age_s: float = 3_600.0,
    grace_s: float = GRACE_S,
    port: int = 0,
    sent_bytes: int = 0,
) -> AsyncIterator[Serving]:
    """Runs a server, of the methods of Handlers unless it is given others, and on a free port unless it is given one.
    With `sent_bytes` the system keeps no more for clients that do not read.
    """
    handlers = Handlers()
    server = Http2Server(routes or handlers.routes(), calls_max=calls_max, connection_age_s=connection_age_s)
    bound = bind("127.0.0.1", port)
    if sent_bytes:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sent_bytes)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, sent_bytes)
    await server.start(bound)
    try:
        yield Serving(server, handlers, bound.getsockname()[1])
    finally:
        handlers.go.set()
        await server.stop(grace_s)


def fields(name: str = "Do", /, **changed: str | None) -> Fields:
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


def head(
    stream: int, sent: Fields | None = None, flags: int = frames.END_HEADERS, *, encoder: Encoder | None = None
) -> bytes:
    """Returns the HEADERS of a request. An encoder keeps a table for all blocks of a connection."""
    given = fields() if sent is None else sent
    return frames.frame(frames.HEADERS, flags, stream, encoder.encode(given) if encoder else block(given))


def request(stream: int, method: str = "Do", message: bytes = b"question") -> bytes:
    """Returns a whole request."""
    return head(stream, fields(method)) + data(stream, prefixed(message), frames.END_STREAM)
