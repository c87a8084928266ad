"""Clients with frames in an odd order: each harms its own calls only."""

import asyncio

import pytest

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.messages import prefixed
from mesh.http2.server.call import ServerCall
from tests.garbage import alive, settled
from tests.mesh.http2.server_interop.plain import UNARY, WAIT, raw_client, serving


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
