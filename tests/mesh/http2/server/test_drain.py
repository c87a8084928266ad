"""The end of a connection that the server wants to end: two GOAWAYs (RFC 9113, section 6.8). No call is lost by it."""

import asyncio
import contextlib
import struct
from typing import Any

import pytest
from structlog.testing import capture_logs

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.peer_settings import INITIAL_WINDOW_SIZE
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.connection import ServerConnection
from mesh.http2.server.server import Http2Server
from mesh.http2.windows import WINDOW_BYTES, WINDOW_BYTES_MAX
from tests.mesh.http2.scripted import PATH, data, prefixed
from tests.mesh.http2.server.scripted import MESSAGE_BYTES_MAX, Client, Serving, fields, head, request, serving


async def goaway(client: Client) -> tuple[int, int]:
    """Reads the next GOAWAY. Returns the last stream and the error code."""
    last, code = struct.unpack(">LL", (await client.next(frames.GOAWAY))[3])
    return last, code


async def drain(served: Serving, client: Client) -> bytes:
    """Drains the connections, and reads the first GOAWAY and the ping. Returns its payload."""
    for connection in tuple(served.server._connections):
        connection.drain()
    assert await goaway(client) == (2**31 - 1, ErrorCode.NO_ERROR)
    _, flags, _, payload = await client.next(frames.PING)
    assert not flags & frames.ACK
    return payload


def pong(payload: bytes) -> bytes:
    """Returns the answer to a ping."""
    return frames.frame(frames.PING, frames.ACK, 0, payload)


async def test_streams_that_are_on_their_way_are_served() -> None:
    """A client opens streams until it knows. The second GOAWAY names the last of them, and the connection ends."""
    async with serving() as served, served.client() as client:
        client.send(request(1, "Wait"))
        await client.settle()
        payload = await drain(served, client)
        client.send(request(3), pong(payload))
        assert await goaway(client) == (3, ErrorCode.NO_ERROR)
        assert (await client.response(3)).code == "0"
        served.handlers.go.set()
        assert (await client.response(1)).code == "0"
        assert await goaway(client) == (3, ErrorCode.NO_ERROR)
        await client.wait_closed()


async def test_an_idle_connection_ends_after_the_ping() -> None:
    """Nothing is waited for but the pong, which a client that is lost does not send either."""
    async with serving() as served:
        for answers in (True, False):
            async with served.client() as client:
                client.send(request(1))
                await client.response(1)
                payload = await drain(served, client)
                if answers:
                    client.send(pong(payload))
                assert await goaway(client) == (1, ErrorCode.NO_ERROR)
                await client.wait_closed()


@pytest.mark.parametrize("answers", [True, False])
async def test_streams_that_come_too_late_do_not_end_those_before(answers: bool) -> None:
    """Frames that a client sends before the second GOAWAY reaches it are ignored, resets and many data too. Calls in
    progress go on.
    """
    async with serving() as served, served.client() as client:
        client.send(request(1, "Wait"), head(3, fields("Echoes")), data(3, prefixed(b"a")))
        assert (await client.next(frames.DATA))[2:] == (3, prefixed(b"a"))
        payload = await drain(served, client)
        if answers:
            client.send(pong(payload))
        assert await goaway(client) == (3, ErrorCode.NO_ERROR)
        client.send(request(5), head(7), data(7, prefixed(b"question")), frames.rst_stream(7, ErrorCode.CANCEL))
        client.send(head(9, fields("Wait")), frames.window_update(9, 100))
        client.send(head(11, fields("Echoes")), data(11, prefixed(b"late")) * 5_000)
        await client.settle()
        assert served.handlers.requests == []
        client.send(data(3, prefixed(b"b"), frames.END_STREAM))
        response = await client.response(3)
        assert (response.code, response.content) == ("0", prefixed(b"b"))
        served.handlers.go.set()
        response = await client.response(1)
        assert (response.code, response.content) == ("0", prefixed(b"waited"))
        assert await goaway(client) == (3, ErrorCode.NO_ERROR), "the last stream must not grow: section 6.8"
        await client.wait_closed()


async def test_connections_are_renewed_at_an_age() -> None:
    """The client is asked to open another connection, and calls go on."""
    async with serving(connection_age_s=0.2) as served, served.client() as client:
        client.send(request(1, "Wait"))
        assert await goaway(client) == (2**31 - 1, ErrorCode.NO_ERROR)
        served.handlers.go.set()
        assert (await client.response(1)).code == "0"
        await client.wait_closed()


async def test_a_stop_drains_the_connections() -> None:
    """A call in progress ends within the grace period, and no new connections are accepted."""
    async with serving() as served, served.client() as client:
        client.send(request(1, "Wait"))
        await client.settle()
        stopping = asyncio.create_task(served.server.stop(20))
        assert await goaway(client) == (2**31 - 1, ErrorCode.NO_ERROR)
        with pytest.raises(ConnectionError):
            async with served.client():
                pass
        served.handlers.go.set()
        assert (await client.response(1)).code == "0"
        await client.wait_closed()
        await client.close()
        await stopping


async def test_a_server_stops_although_a_handler_ignores_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler is cancelled after the grace, and named in the log when it goes on."""
    monkeypatch.setattr("mesh.http2.server.server.CLEAN_UP_S", 0.01)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def serve(_call: ServerCall) -> None:
        entered.set()
        while not leave.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await leave.wait()

    routes = {PATH: Route(serve, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX)}
    async with serving(routes) as served, served.client() as client:
        client.send(request(1))
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

    routes = {PATH: Route(serve, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX)}
    wide = {INITIAL_WINDOW_SIZE: WINDOW_BYTES_MAX}
    async with asyncio.timeout(60), serving(routes, sent_bytes=4096) as served, served.client(wide) as client:
        client.pause_reading()
        client.send(frames.window_update(0, WINDOW_BYTES_MAX - WINDOW_BYTES), request(1))
        await ended.wait()
        stopping = asyncio.create_task(served.server.stop(30))
        await asyncio.sleep(0.1)
        assert not stopping.done()
        client.send(frames.frame(frames.PING, 0, 0, b"all read"))
        client.resume_reading()
        assert (await client.response(1)).content == prefixed(answer)
        await client.wait_closed()
        await client.close()
        await stopping


async def test_a_connection_that_comes_as_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was accepted before, so its calls are answered, and it is drained as the others are."""
    accepted = asyncio.Event()

    class Accepted(ServerConnection):
        def __init__(self, server: Http2Server) -> None:
            super().__init__(server)
            accepted.set()

        def connection_made(self, transport: Any) -> None:
            asyncio.get_running_loop().call_later(0.1, super().connection_made, transport)

    async with asyncio.timeout(30), serving() as served, served.client() as first:
        first.send(request(1, "Wait"))
        await first.next(frames.WINDOW_UPDATE)
        monkeypatch.setattr("mesh.http2.server.server.ServerConnection", Accepted)
        async with served.client() as second:
            second.send(request(1, "Wait"))
            await accepted.wait()
            stopping = asyncio.create_task(served.server.stop(20))
            await second.next(frames.GOAWAY)
            served.handlers.go.set()
            for client in (first, second):
                assert (await client.response(1)).content == prefixed(b"waited")
                await client.wait_closed()
                await client.close()
            await stopping


async def test_the_end_of_a_connection_does_not_reset_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that still sends when the server has ended a connection reads all that the server sent."""
    monkeypatch.setattr("mesh.http2.outbox.LINGER_S", 60.0)
    async with serving(connection_age_s=0.1) as served, served.client() as client:
        _, _, _, ping = await client.next(frames.PING)
        client.send(pong(ping), frames.frame(0xBE, 0, 0, bytes(16_000)) * 40)
        received = 0
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                received += (await client.frame())[0] == frames.GOAWAY
        assert received == 2


async def test_an_answer_to_a_ping_that_was_not_sent_is_ignored() -> None:
    """It does not begin the end of the connection."""
    async with serving() as served, served.client() as client:
        client.send(pong(b"draining"), request(1))
        assert (await client.response(1)).code == "0"
