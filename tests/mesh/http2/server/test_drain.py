"""The end of a connection that the server wants to end: two GOAWAYs (RFC 9113, section 6.8)."""

import asyncio
import struct

import pytest

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from tests.mesh.http2.scripted import data, prefixed
from tests.mesh.http2.server.scripted import Client, Serving, fields, head, request, serving


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
    """Frames that a client sends before the second GOAWAY reaches it are ignored, data and resets too."""
    async with serving() as served, served.client() as client:
        client.send(request(1, "Wait"))
        await client.settle()
        payload = await drain(served, client)
        if answers:
            client.send(pong(payload))
        assert await goaway(client) == (1, ErrorCode.NO_ERROR)
        client.send(request(3), head(5), data(5, prefixed(b"question")), frames.rst_stream(5, ErrorCode.CANCEL))
        client.send(head(7, fields("Wait")), frames.window_update(7, 100))
        await client.settle()
        assert served.handlers.requests == []
        served.handlers.go.set()
        assert (await client.response(1)).code == "0"
        assert await goaway(client) == (1, ErrorCode.NO_ERROR), "the last stream must not grow: section 6.8"
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
        await stopping
