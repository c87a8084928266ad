"""Connections whose clients stop reading."""

import asyncio
import contextlib
from typing import Final

import pytest

from edge.http.stall_timer import StallTimer
from mesh.listening import bind

STALL_S: Final = 0.1


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
