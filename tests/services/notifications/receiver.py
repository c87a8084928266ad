"""A real HTTP receiver of webhooks, whose responses tests choose."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def response(status: int, *headers: str) -> bytes:
    """Returns a response without a body."""
    return "\r\n".join([f"HTTP/1.1 {status} Reason", "content-length: 0", *headers, "", ""]).encode()


@dataclass
class Received:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """The receiver. It answers each request with the next of `answers`, then with `answer`. While it is not `open`, it
    answers nothing.
    """

    answer: bytes = OK
    answers: list[bytes] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    concurrent: int = 0
    concurrent_max: int = 0
    port: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    @contextlib.asynccontextmanager
    async def listening(self, tls: ssl.SSLContext | None = None) -> AsyncIterator["Receiver"]:
        """Listens on loopback in this block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.open.set()
            server.close()

    def url(self, host: str = "127.0.0.1", scheme: str = "http", path: str = "/hook") -> str:
        """Returns the URL of the receiver, under any name."""
        return f"{scheme}://{host}:{self.port}{path}"

    async def until_received(self, count: int) -> None:
        """Waits until this number of requests have arrived."""
        async with asyncio.timeout(30):
            while len(self.received) < count:
                await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value for name, value in (each.split(": ", 1) for each in fields)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.received.append(Received(line, headers, body))
        self.concurrent += 1
        self.concurrent_max = max(self.concurrent_max, self.concurrent)
        try:
            await self.open.wait()
        finally:
            self.concurrent -= 1
        writer.write(self.answers.pop(0) if self.answers else self.answer)
        await writer.drain()


class Names:
    """A name server: each look-up of a name returns the next of its results, the last one again and again."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.results = {name.replace("_", "."): results for name, results in names.items()}
        self.asked: list[str] = []

    def __call__(self, host: str) -> list[str]:
        """Looks a name up."""
        self.asked.append(host)
        results: list[list[str]] | None = self.results.get(host)
        if results is None:
            raise OSError("unknown name")
        return results.pop(0) if len(results) > 1 else results[0]
