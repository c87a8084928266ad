"""The number of connections that a server has: those beyond its limit do not harm the others."""

import asyncio
import contextlib

import pytest
from structlog.testing import capture_logs

from mesh.http2 import frames
from mesh.http2.connection import PREFACE
from mesh.http2.faults import ErrorCode
from mesh.http2.server.call import Route, ServerCall
from tests.mesh.http2.scripted import PATH, prefixed
from tests.mesh.http2.server.scripted import MESSAGE_BYTES_MAX, fields, head, request, serving

LIMIT = 50


async def test_many_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that send no preface, or half of one, have their places. Those beyond are refused, until one is free."""
    monkeypatch.setattr("mesh.http2.server.server.CONNECTIONS_MAX", LIMIT)
    async with asyncio.timeout(60), serving() as served, contextlib.AsyncExitStack() as stack:
        idle = [await stack.enter_async_context(served.client(starts=False)) for _ in range(LIMIT)]
        for client in idle[::2]:
            client.send(PREFACE[:9])
        for _ in range(3):
            async with served.client(starts=False) as refused:
                assert await refused.error_code() == ErrorCode.ENHANCE_YOUR_CALM
        for client in idle[::2]:
            client.send(PREFACE[9:], frames.settings({}), request(1))
        for client in idle[1::2]:
            client.start()
            client.send(request(1))
        for client in idle:
            assert (await client.response(1)).content == prefixed(b"question")
        await idle[0].close()
        while len(served.server._connections) >= LIMIT:
            await asyncio.sleep(0.01)
        await served.check()


@pytest.mark.parametrize("sent", [b"", PREFACE[:9]])
async def test_an_idle_connection_ends_at_its_age(sent: bytes) -> None:
    """Also before its preface."""
    async with asyncio.timeout(30), serving(connection_age_s=0.1) as served:
        async with served.client(starts=False) as client:
            client.send(sent)
            await client.wait_closed()
        while served.server._connections:
            await asyncio.sleep(0.01)
        await served.check()


async def test_one_connection_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at once: it does not stay open until its client closes it. It is a warning, and the others go on."""
    monkeypatch.setattr("mesh.http2.server.server.CONNECTIONS_MAX", 1)
    monkeypatch.setattr("mesh.http2.outbox.LINGER_S", 60.0)
    with capture_logs() as logs:
        async with asyncio.timeout(30), serving() as served, served.client() as first:
            async with served.client() as second:
                assert await second.error_code() == ErrorCode.ENHANCE_YOUR_CALM
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await second.next(frames.HEADERS)
            first.send(request(1))
            assert (await first.response(1)).code == "0"
    assert [(log["log_level"], log["event"]) for log in logs] == [("warning", "connection failed")]


async def test_connections_of_long_streams_take_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were renewed, and wait for their streams, do not count as those that accept calls."""
    monkeypatch.setattr("mesh.http2.server.server.CONNECTIONS_MAX", 2)
    monkeypatch.setattr("mesh.http2.server.connection.PONG_S_MAX", 0.01)

    async def serve(call: ServerCall) -> None:
        await call.write(b"first")
        if call.deadline is not None:
            await asyncio.Event().wait()
        call.finish()

    routes = {PATH: Route(serve, takes_stream=True, message_bytes_max=MESSAGE_BYTES_MAX)}
    async with (
        asyncio.timeout(30),
        contextlib.AsyncExitStack() as stack,
        serving(routes, connection_age_s=0.05) as served,
    ):
        for _ in range(4):
            client = await stack.enter_async_context(served.client())
            client.send(head(1, fields(grpc_timeout="1M")))
            await client.next(frames.DATA)
            await client.next(frames.GOAWAY)
        async with served.client() as client:
            client.send(head(1))
            assert (await client.response(1)).code == "0"
