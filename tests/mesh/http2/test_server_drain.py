"""The end of a server's connections: none of it loses a call that was begun."""

import asyncio

import pytest

from mesh.http2 import frames
from mesh.http2.server.call import ServerCall
from tests.mesh.http2.dialing import request, serving


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
