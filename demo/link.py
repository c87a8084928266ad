"""A TCP link between clients and the edge that can lose an answer: the connection breaks after a request's effect."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from types import TracebackType
from typing import Final, Self

from local.ports import LOOPBACK

CHUNK_BYTES: Final = 65536
LOST_TO: Final = b"POST /v1/orders "
"""The beginning of the requests whose answers can be lost."""


class Link:
    """A link to the edge, open while its context lasts."""

    def __init__(self, port: int) -> None:
        """Prepares a link to the edge's port."""
        self._port = port
        self._losing: asyncio.Future[None] | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def url(self) -> str:
        """Returns the URL by which clients use the link."""
        return f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    async def lose_answer(self, timeout_s: float) -> bool:
        """Breaks the connection on which the next answer to an order arrives, instead of passing the answer on. Returns
        False if none arrives in time.
        """
        losing = self._losing = asyncio.get_running_loop().create_future()
        await asyncio.wait([losing], timeout=timeout_s)
        self._losing = None
        return losing.done()

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            edge_reader, edge_writer = await asyncio.open_connection(LOOPBACK, self._port)
            with contextlib.closing(edge_writer):
                await self._pass_on((reader, edge_writer), (edge_reader, writer))

    async def _pass_on(
        self, requests: tuple[StreamReader, StreamWriter], answers: tuple[StreamReader, StreamWriter]
    ) -> None:
        """Passes requests and answers on until one side ends the connection, or an answer is lost."""
        can_be_lost = False

        async def pass_requests() -> None:
            nonlocal can_be_lost
            reader, writer = requests
            while data := await reader.read(CHUNK_BYTES):
                can_be_lost = can_be_lost or data.startswith(LOST_TO)
                writer.write(data)
                await writer.drain()

        async def pass_answers() -> None:
            nonlocal can_be_lost
            reader, writer = answers
            while data := await reader.read(CHUNK_BYTES):
                if can_be_lost and self._losing is not None and not self._losing.done():
                    self._losing.set_result(None)
                    return
                can_be_lost = False
                writer.write(data)
                await writer.drain()

        ways = [asyncio.create_task(pass_requests()), asyncio.create_task(pass_answers())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
