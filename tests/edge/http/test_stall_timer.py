"""Connections whose clients stop reading."""

import asyncio
import contextlib
import ctypes
import socket
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from edge.contract.contract import read
from edge.http.stall_timer import StallTimer
from mesh.listening import bind
from tests.edge.backend import Context, backend_of
from tests.edge.contracts import compile_image
from tests.edge.protocols.rest.contract import FEEDS, STREAMING
from tests.edge.protocols.rest.wire import wire
from tests.edge.served import edge_of

STALL_S: Final = 0.1
SO_ATTACH_FILTER: Final = 26  # socket(7)
DROP: Final = struct.pack("HBBI", 0x06, 0, 0, 0)  # the BPF program "return 0"


class _Sender(asyncio.Protocol):
    """Sends more than the system takes, but less than fills the send buffer."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.stall = StallTimer(transport, STALL_S)
        while not transport.get_write_buffer_size():
            transport.write(b"x" * 1000)

    def pause_writing(self) -> None:
        raise AssertionError("a kilobyte does not fill the buffer")

    def connection_lost(self, error: Exception | None) -> None:
        self.stall.stop()
        self.lost.set()


@pytest.mark.parametrize("closed_by", ["server", "client"])
async def test_a_closing_connection_does_not_wait_for_a_client_that_does_not_read(closed_by: str) -> None:
    """It is aborted although the send buffer is not full, whether the server closed it or the client half of it."""
    made: asyncio.Queue[_Sender] = asyncio.Queue()

    def accept() -> _Sender:
        sender = _Sender()
        made.put_nowait(sender)
        return sender

    loop = asyncio.get_running_loop()
    async with await loop.create_server(accept, sock=bind("127.0.0.1", 0)) as server:
        _, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        sender = await made.get()
        await asyncio.sleep(5 * STALL_S)
        assert not sender.lost.is_set(), "it is not closing, so nobody waits for the client"
        if closed_by == "server":
            sender.transport.close()
        else:
            writer.write_eof()
        await sender.lost.wait()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    assert reader.exception() is None or isinstance(reader.exception(), ConnectionError)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems don't say what was acknowledged")
async def test_a_client_that_vanishes_cancels_its_stream_with_heartbeats(tmp_path: Path) -> None:
    """Its system acknowledges nothing any more. Linux does not probe it as long as data are on their way."""
    feeds = read(compile_image(FEEDS, tmp_path))

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    async with (
        backend_of(feeds.registry, STREAMING) as source,
        edge_of(feeds, source.port, stream_heartbeat_s=0.1, stall_s=0.5) as client,
        wire(client) as connection,
    ):
        source.stream = stream
        await connection.begin("GET", "/v1/feeds/x:watch", accept="text/event-stream")
        await connection.head()
        for _ in range(20):
            await connection.chunk()
        assert not source.ended, "a client that is there stays connected"
        drop_all(connection.writer.get_extra_info("socket"))
        async with asyncio.timeout(30):
            while not source.ended:
                await asyncio.sleep(0.01)


def drop_all(sock: socket.socket) -> None:
    """Makes the system drop whatever arrives for the socket, so that it answers nothing."""
    program = ctypes.create_string_buffer(DROP, len(DROP))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))
