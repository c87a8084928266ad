"""Clients with frames in an odd order: each harms its own calls only."""

import asyncio
import contextlib

import pytest

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.messages import prefixed
from mesh.http2.server.call import ServerCall
from tests.garbage import alive, settled
from tests.mesh.http2.server_interop.plain import ECHO, UNARY, WAIT, raw_client, serving


def data(stream: int, payload: bytes, flags: int = 0) -> bytes:
    """Returns DATA."""
    return frames.frame(frames.DATA, flags, stream, payload)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("is_begun", [False, True])
async def test_a_call_that_is_reset_is_freed(is_begun: bool) -> None:
    """Also one whose handler is cancelled before it starts, so that none of its code runs."""
    async with serving() as served, raw_client(served) as client:
        before = alive(ServerCall)
        streams = range(1, 41, 2)
        for stream in streams:
            client.send(client.head(stream, WAIT), data(stream, prefixed(b"a"), frames.END_STREAM))
        if is_begun:
            client.send(client.head(41, UNARY), data(41, prefixed(b"a"), frames.END_STREAM))
            await client.trailers(41)
        client.send(*(frames.rst_stream(stream, ErrorCode.CANCEL) for stream in streams))
        client.send(client.head(43, UNARY), data(43, prefixed(b"a"), frames.END_STREAM))
        assert "'grpc-status', '0'" in await client.trailers(43)
        assert await settled(before, ServerCall) == before


async def test_streams_that_are_opened_too_late_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client may learn late that the connection is to be renewed. The streams that it opens until then were not
    processed, and calls in progress go on.
    """
    monkeypatch.setattr("mesh.http2.server.connection.PONG_S_MAX", 0.1)
    async with serving(connection_age_s=0.1) as served, raw_client(served) as client:
        client.send(client.head(1, ECHO), data(1, prefixed(b"a")))
        last = 0
        while last != 1:
            last = int.from_bytes((await client.next(frames.GOAWAY))[3][:4], "big")
        client.send(client.head(3, ECHO), data(3, prefixed(b"late")) * 5_000)
        client.send(data(1, prefixed(b"b"), frames.END_STREAM))
        assert "'grpc-status', '0'" in await client.trailers(1)
        _, _, _, payload = await client.next(frames.GOAWAY)
        assert payload == bytes((0, 0, 0, 1)) + bytes(4)


@pytest.mark.parametrize("path", ["/plain.Service/Missing", "/plain.Service/Unary"])
async def test_the_rest_of_a_request_that_was_answered_early_is_no_flood(path: str) -> None:
    """A client that streams small messages has sent a window full of them when it learns that the call has ended."""
    media_type = ("grpc-timeout", "bad") if path == UNARY else ("x-a", "b")
    async with serving() as served, raw_client(served) as client:
        client.send(client.head(1, ECHO), data(1, prefixed(b"a")))
        client.send(client.head(3, path, media_type), data(3, prefixed(b"small")) * 5_000)
        client.send(data(1, b"", frames.END_STREAM))
        assert "'grpc-status', '0'" in await client.trailers(1)


async def test_late_data_of_a_refused_stream_are_no_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that opens more streams than we announced, before it has our settings, loses only those."""
    monkeypatch.setattr("mesh.http2.server.connection.STREAMS_MAX", 2)
    async with serving() as served, raw_client(served) as client:
        for stream in (1, 3):
            client.send(client.head(stream, ECHO), data(stream, prefixed(b"a")))
        client.send(client.head(5, ECHO), data(5, prefixed(b"small")) * 5_000)
        assert await client.trailers(5) == f"reset {ErrorCode.REFUSED_STREAM}"
        client.send(data(1, b"", frames.END_STREAM))
        assert "'grpc-status', '0'" in await client.trailers(1)


async def test_a_server_that_stops_ends_every_call() -> None:
    """Those whose requests are incomplete get the same status as those whose handlers run."""
    async with serving(grace_s=0.1) as served, raw_client(served) as client:
        client.send(client.head(1, WAIT), data(1, prefixed(b"a"), frames.END_STREAM), client.head(3, WAIT))
        client.send(client.head(5, UNARY), data(5, prefixed(b"a"), frames.END_STREAM))
        await client.trailers(5)
        stopping = asyncio.create_task(served.server.stop(0.1))
        for stream in (1, 3):
            assert "'grpc-status', '14'" in await client.trailers(stream)
        await stopping


async def test_an_unknown_compression() -> None:
    """It is UNIMPLEMENTED by gRPC's compression.md, with the encodings that are accepted."""
    async with serving() as served, raw_client(served) as client:
        client.send(client.head(1, UNARY, ("grpc-encoding", "snappy")), data(1, b"\1" + prefixed(b"a")[1:], 1))
        trailers = await client.trailers(1)
        assert "'grpc-status', '12'" in trailers
        assert "'grpc-accept-encoding', 'identity,deflate,gzip'" in trailers


async def test_the_end_of_a_connection_does_not_reset_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that still sends when the server has ended a connection reads all that the server sent."""
    monkeypatch.setattr("mesh.http2.outbox.LINGER_S", 0.2)
    async with serving(connection_age_s=0.1) as served, raw_client(served) as client:
        _, _, _, ping = await client.next(frames.PING)
        client.send(frames.frame(frames.PING, frames.ACK, 0, ping), frames.frame(0xBE, 0, 0, bytes(16_000)) * 40)
        received = 0
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                received += (await client.frame())[0] == frames.GOAWAY
        assert received == 2


async def test_one_connection_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends at once: it does not stay open until its client closes it. The others go on."""
    monkeypatch.setattr("mesh.http2.server.server.CONNECTIONS_MAX", 1)
    monkeypatch.setattr("mesh.http2.outbox.LINGER_S", 60.0)
    async with serving() as served, raw_client(served) as first:
        async with raw_client(served) as second:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await second.next(frames.HEADERS)
        first.send(first.head(1, UNARY), data(1, prefixed(b"a"), frames.END_STREAM))
        assert "'grpc-status', '0'" in await first.trailers(1)
