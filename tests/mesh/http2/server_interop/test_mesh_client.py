"""Our own client, directly and behind a proxy."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mesh.client import Http2Transport
from tests.mesh.http2.scripted import transport_to
from tests.mesh.http2.server.scripted import serving
from tests.mesh.http2.server_interop.plain import ROUTES, UNARY
from tests.mesh.http2.server_interop.proxy import proxied

CALLERS = 50
CALLS = 20


@pytest.fixture(params=["direct", "proxied"])
async def transport(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Http2Transport]:
    """A transport to a server that renews its connections all the time, however late their peers notice."""
    monkeypatch.setattr("mesh.http2.server.connection.PONG_S_MAX", 60.0)
    async with contextlib.AsyncExitStack() as stack:
        port = (await stack.enter_async_context(serving(ROUTES, connection_age_s=0.05))).port
        if request.param == "proxied":
            port = await stack.enter_async_context(proxied(port, tmp_path))
        yield await stack.enter_async_context(transport_to(f"127.0.0.1:{port}"))


async def test_no_call_is_lost_while_connections_are_renewed(transport: Http2Transport) -> None:
    """The last responses of a connection arrive, also while the client still sends what the server needs no more."""

    async def call(number: int) -> None:
        message = bytes([number]) * number * 1_000
        for _ in range(CALLS):
            deadline = time.monotonic() + 30
            response = await transport.unary(UNARY, message, connect_by=deadline, deadline=deadline, metadata=())
            assert response is not None
            assert response.message == message

    await asyncio.gather(*(call(number) for number in range(CALLERS)))
