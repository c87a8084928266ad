"""The end of a server's connections: none of it loses a call that was begun."""

import asyncio
import contextlib
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from mesh.http2 import frames
from mesh.http2.peer_settings import INITIAL_WINDOW_SIZE
from mesh.http2.server.call import ServerCall
from mesh.http2.server.connection import ServerConnection
from mesh.http2.server.server import Http2Server
from mesh.http2.windows import WINDOW_BYTES, WINDOW_BYTES_MAX
from tests.mesh.http2.scripted import PATH, call, transport_to
from tests.mesh.http2.server.dialing import request, serving

WIDE: Final = {INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}
"""The settings of a client that any response fits."""


async def test_a_stream_that_comes_too_late_ends_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that answers no ping in time sends a whole request before it knows that no more are accepted."""
    monkeypatch.setattr("mesh.http2.server.connection.PONG_S_MAX", 0.01)
    leave = asyncio.Event()

    async def serve(call: ServerCall) -> None:
        await leave.wait()
        call.finish(b"answer")

    async with asyncio.timeout(30), serving(serve, connection_age_s=0.01) as served, served.dialed() as peer:
        peer.send(request(1))
        while (await peer.next(frames.GOAWAY))[3][:4] != bytes((0, 0, 0, 1)):
            pass
        peer.send(request(3), frames.frame(frames.PING, 0, 0, b"received"))
        assert (await peer.next(frames.PING))[3] == b"received"
        leave.set()
        assert (await peer.next(frames.DATA))[2:] == (1, b"\0\0\0\0\6answer")
        _, _, _, last = await peer.next(frames.GOAWAY)
    assert last == bytes(3) + b"\1" + bytes(4), "the stream 3 may be made again"


async def test_a_server_stops_although_a_handler_ignores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler is cancelled after the grace, and named in the log when it goes on."""
    monkeypatch.setattr("mesh.http2.server.server.CLEAN_UP_S", 0.01, raising=False)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def serve(_call: ServerCall) -> None:
        entered.set()
        while not leave.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await leave.wait()

    async with serving(serve) as served, served.dialed() as peer:
        peer.send(request(1))
        await entered.wait()
        stopping = asyncio.ensure_future(served.server.stop(0.01))
        with capture_logs() as logs:
            done, _ = await asyncio.wait([stopping], timeout=30)
        leave.set()
    assert done
    assert [(log["event"], log["method"]) for log in logs] == [("handler ignores that it is cancelled", PATH)]


async def test_a_server_stops_after_its_clients_have_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a response waits in our buffers when its call has ended, and so when the server stops."""
    monkeypatch.setattr("mesh.http2.outbox.LINGER_S", 0.01)
    monkeypatch.setattr("mesh.http2.server.connection.PONG_S_MAX", 0.01)
    answer, ended = bytes(250_000), asyncio.Event()

    async def serve(call: ServerCall) -> None:
        call.finish(answer)
        assert call.is_closed
        ended.set()

    async with asyncio.timeout(60), serving(serve, sent_bytes=4096) as served, served.dialed(WIDE) as peer:
        peer.pause_reading()
        peer.send(frames.window_update(0, WINDOW_BYTES_MAX - WINDOW_BYTES), request(1))
        await ended.wait()
        stopping = asyncio.create_task(served.server.stop(30))
        await asyncio.sleep(0.1)
        assert not stopping.done()
        peer.send(frames.frame(frames.PING, 0, 0, b"all read"))
        peer.resume_reading()
        received = 0
        while received < len(answer):
            received += len((await peer.next(frames.DATA))[3])
        await peer.next(frames.HEADERS)
        await peer.wait_closed()
        await peer.close()
        await stopping


async def test_a_connection_that_comes_as_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was accepted before, so its calls are answered, and it is drained as the others are."""
    accepted, leave = asyncio.Event(), asyncio.Event()

    async def serve(call: ServerCall) -> None:
        await leave.wait()
        call.finish(b"answer")

    class Accepted(ServerConnection):
        def __init__(self, server: Http2Server) -> None:
            super().__init__(server)
            accepted.set()

        def connection_made(self, transport: Any) -> None:
            asyncio.get_running_loop().call_later(0.1, super().connection_made, transport)

    async with asyncio.timeout(30), serving(serve) as served, served.dialed() as first:
        first.send(request(1))
        await first.next(frames.WINDOW_UPDATE)
        monkeypatch.setattr("mesh.http2.server.server.ServerConnection", Accepted)
        async with served.dialed() as second:
            second.send(request(1))
            await accepted.wait()
            stopping = asyncio.create_task(served.server.stop(20))
            await second.next(frames.GOAWAY)
            leave.set()
            for peer in (first, second):
                await peer.next(frames.DATA)
                await peer.wait_closed()
                await peer.close()
            await stopping


async def test_a_client_that_vanishes_ends_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers no pings, so its handlers are cancelled; one that answers may wait for as long as it likes."""
    monkeypatch.setattr("mesh.http2.server.connection.KEEPALIVE_S", 0.01)
    monkeypatch.setattr("mesh.http2.keepalive.ANSWER_S_MAX", 0.1)
    cancelled, leave = asyncio.Event(), asyncio.Event()

    async def serve(call: ServerCall) -> None:
        try:
            await leave.wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        call.finish(b"answer")

    async with asyncio.timeout(30), serving(serve) as served:
        async with served.dialed() as silent:
            silent.send(request(1))
            await cancelled.wait()
        cancelled.clear()
        async with transport_to(f"127.0.0.1:{served.port}") as transport:
            calling = asyncio.create_task(call(transport))
            await asyncio.sleep(0.5)
            leave.set()
            assert (await calling).message == b"answer"
    assert not cancelled.is_set()
