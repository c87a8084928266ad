"""Clients that disconnect while the edge reads nothing from them."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from edge.contract.contract import read
from edge.http import client_probes
from tests.edge.backend import Backend, Context, backend_of
from tests.edge.contracts import compile_image
from tests.edge.protocols.rest.contract import FEEDS, STREAMING
from tests.edge.protocols.rest.wire import Wire
from tests.edge.served import edge_of

WATCH: Final = b"GET /v1/feeds/x:watch HTTP/1.1\r\nhost: x\r\naccept: application/x-ndjson\r\n\r\n"
RECORD: Final = (
    b"POST /v1/points HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\ncontent-length: 1000000000\r\n\r\n"
)
SOCKET: Final = (
    b"GET /v1/points HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
POINT: Final = json.dumps({"place": {"label": "x" * 100_000}}).encode()
FRAME: Final = struct.pack("!BBQ4x", 0x81, 0xFF, len(POINT)) + POINT
RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST, and what was not sent is lost
TCP_REPAIR: Final = 19  # tcp(7): closing sends nothing at all


@contextlib.asynccontextmanager
async def quiet_call(folder: Path) -> AsyncIterator[tuple[Backend, Wire, asyncio.Event]]:
    """Serves an edge before a service that sends one message, and then neither sends nor takes any. Yields the service,
    a connection to the edge, and what is set once a call has begun.
    """
    feeds = read(compile_image(FEEDS, folder))
    begun = asyncio.Event()

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        yield b""
        begun.set()
        await asyncio.Event().wait()

    async with (
        backend_of(feeds.registry, STREAMING) as source,
        edge_of(feeds, source.port, stream_heartbeat_s=0) as client,
    ):
        source.stream = stream
        yield source, Wire(*await asyncio.open_connection(client.base_url.host, client.base_url.port)), begun


async def until_ended(source: Backend) -> None:
    """Waits until the call has ended at the service."""
    async with asyncio.timeout(30):
        while not source.ended:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("begin", "then", "count"),
    [
        (WATCH, WATCH, 1_000),
        (RECORD, POINT + b"\n", 300),
        (SOCKET, FRAME, 300),
    ],
    ids=["requests that wait", "a body that waits", "frames that wait"],
)
async def test_a_client_that_leaves_unread_data_cancels_its_call(
    tmp_path: Path, begin: bytes, then: bytes, count: int
) -> None:
    """The call ends although nothing is read, and the service neither takes a message nor sends another one."""
    async with quiet_call(tmp_path) as (source, connection, begun):
        connection.writer.write(begin)
        if begin is SOCKET:
            await connection.head()
        connection.writer.write(then * count)
        await begun.wait()
        await asyncio.sleep(0.5)
        assert not source.ended
        connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.writer.transport.abort()
        await until_ended(source)


@pytest.mark.parametrize(
    ("begin", "then", "count"),
    [(WATCH, b"", 0), (RECORD, POINT + b"\n", 300)],
    ids=["a quiet stream", "a body that waits"],
)
async def test_a_client_that_vanishes_cancels_its_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: bytes, then: bytes, count: int
) -> None:
    """The call ends although neither data nor the end of the connection arrive."""
    monkeypatch.setattr(client_probes, "SILENCE_S", 1)
    async with quiet_call(tmp_path) as (source, connection, begun):
        connection.writer.write(begin + then * count)
        await begun.wait()
        try:
            connection.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            pytest.skip("needs CAP_NET_ADMIN")
        connection.writer.transport.abort()
        await until_ended(source)
