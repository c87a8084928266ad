"""Clients that attack their server: each harms its own calls only, within limits."""

import asyncio
import struct
import time

import pytest

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.server.load import HELD_BYTES_MAX
from tests.mesh.http2.scripted import data, prefixed
from tests.mesh.http2.server.scripted import Client, fields, head, request, serving

MANY = 20_000
STREAMS = range(1, 2 * MANY, 2)
PING = frames.frame(frames.PING, 0, 0, bytes(8))


async def flood(client: Client, sent: bytes) -> int:
    """Sends much, while the server may stop to read. Returns the error code of its GOAWAY."""

    async def send() -> None:
        for start in range(0, len(sent), 65_536):
            client.send(sent[start : start + 65_536])
            await client.drain()

    sending = asyncio.create_task(send())
    try:
        return await client.error_code()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(PING * MANY, id="pings"),
        pytest.param(frames.frame(frames.PING, frames.ACK, 0, bytes(8)) * MANY, id="pongs"),
        pytest.param(frames.settings({3: 100}) * MANY, id="settings"),
        pytest.param(frames.frame(frames.SETTINGS, frames.ACK, 0) * MANY, id="acks"),
        pytest.param(head(1) + data(1, b"") * MANY, id="empty data"),
        pytest.param(head(1) + data(1, b"\x03\0\0\0", frames.PADDED) * MANY, id="padding"),
        pytest.param(frames.window_update(0, 1) * MANY, id="windows"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 7, bytes(5)) * MANY, id="priorities"),
        pytest.param(frames.frame(0xBE, 0, 0) * MANY, id="unknown frames"),
        pytest.param(frames.goaway(0, 0) * MANY, id="farewells"),
        pytest.param(head(1) + frames.rst_stream(1, 8) * MANY, id="resets of one stream"),
        pytest.param(
            b"".join(head(each, fields("Hang")) + frames.rst_stream(each, 8) for each in STREAMS), id="rapid resets"
        ),
        pytest.param(
            b"".join(head(each, fields("Hang")) + frames.window_update(each, 0) for each in STREAMS),
            id="requests that make us reset them",
        ),
        pytest.param(b"".join(head(each, fields(te="gzip")) for each in STREAMS), id="malformed requests"),
        pytest.param(b"".join(head(each, fields("Hang")) for each in STREAMS), id="streams beyond the limit"),
        pytest.param(
            request(1) + data(1, b"x") * MANY,
            id="data of a stream that has ended",
        ),
        pytest.param(
            head(1, flags=0) + frames.frame(frames.CONTINUATION, 0, 1) * MANY,
            id="empty continuations",
        ),
        pytest.param(
            head(1, flags=0) + frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000)) * 100,
            id="large continuations",
        ),
    ],
)
async def test_a_flood_ends_the_connection(sent: bytes) -> None:
    """Empty frames are limited: the client gets ENHANCE_YOUR_CALM, and another one is served meanwhile."""
    async with serving() as served, served.client() as client:
        flooding = asyncio.create_task(flood(client, sent))
        await served.check()
        assert await flooding == ErrorCode.ENHANCE_YOUR_CALM
        await client.wait_closed()
        assert served.server.load._calls == served.server.load._held_bytes == 0


async def test_honest_frames_are_no_flood() -> None:
    """A client may ping, widen windows and cancel, as long as it has calls that are answered."""
    async with serving() as served, served.client() as client:
        for stream in range(1, 6_001, 4):
            client.send(PING, frames.window_update(0, 100), request(stream), frames.window_update(stream, 100))
            client.send(request(stream + 2, "Wait"), frames.rst_stream(stream + 2, ErrorCode.CANCEL))
            assert (await client.response(stream)).code == "0"


@pytest.mark.parametrize("timeout", [None, "99999999H", "50S"])
async def test_a_request_that_never_ends_is_given_up(timeout: str | None) -> None:
    """What has arrived of it is held, so that the client can't choose for how long: a minute at most."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields(grpc_timeout=timeout)), data(1, prefixed(bytes(100))[:50]))
        client.send(head(3, fields("Hang")), data(3, prefixed(b"question")[:7]))  # its handler sees to it
        await client.settle()
        assert served.server.load._held_bytes == 57
        (connection,) = served.server._connections
        connection.expire_calls(time.monotonic() + 49)
        assert len(connection.streams) == 2
        connection.expire_calls(time.monotonic() + 61)
        assert (await client.response(1)).code == "4"
        assert (served.server.load._calls, served.server.load._held_bytes) == (1, 7)
        client.send(data(1, b"more"), frames.rst_stream(1, ErrorCode.CANCEL), request(5))
        assert (await client.response(5)).code == "0"


@pytest.mark.parametrize(
    ("method", "message"),
    [("Large", struct.pack(">L", 4_000_000)), ("Repeat", struct.pack(">LL", 2, 4_000_000))],
    ids=["single", "stream"],
)
async def test_responses_that_nobody_reads_are_limited(method: str, message: bytes) -> None:
    """They are held bytes, those of streams too: beyond the limit, calls end. The others get room with their end."""
    async with serving() as served, served.client() as client:
        for stream in range(1, 41, 2):
            client.send(request(stream, method, message))
        resets = [await client.reset_code() for _ in range(20 - HELD_BYTES_MAX // 4_000_000)]
        assert {code for _, code in resets} == {ErrorCode.ENHANCE_YOUR_CALM}
        (connection,) = served.server._connections
        unsent = sum(len(piece) for call in connection.streams for piece in call._outgoing or ())
        assert 0 < unsent <= served.server.load._held_bytes <= HELD_BYTES_MAX
        first = next(iter(connection.streams)).id
        client.send(frames.window_update(first, 9_000_000), frames.window_update(0, 9_000_000))
        assert (await client.response(first)).code == "0"
        client.reset()
        async with asyncio.timeout(20):
            while served.server._connections:
                await asyncio.sleep(0.01)
        assert served.server.load._calls == served.server.load._held_bytes == 0
        await served.check()
