"""An HTTP/1.1 client that can read while it sends, stop reading, and disconnect."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tests.edge.served import Client


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def begin(self, method: str, path: str, **headers: str) -> None:
        """Sends the head of a request, whose body is sent in chunks if it has one."""
        body = {"transfer_encoding": "chunked"} if method in ("POST", "PUT") else {}
        lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in {"host": "x", **body, **headers}.items()]
        self.writer.write(f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
        await self.writer.drain()

    async def send(self, piece: bytes) -> None:
        """Sends a chunk; an empty one is the last."""
        self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Returns the status and the headers of the reply."""
        first, *rest = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in rest)
        return int(first.split()[1]), headers

    async def chunk(self) -> bytes:
        """Returns the next chunk of the reply, b"" at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def rest(self) -> bytes:
        """Returns the remaining chunks."""
        pieces = []
        while piece := await self.chunk():
            pieces.append(piece)
        return b"".join(pieces)


@contextlib.asynccontextmanager
async def wire(client: Client) -> AsyncIterator[Wire]:
    """Opens a connection to the edge of this client."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
