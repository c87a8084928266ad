"""The limit on open streams."""

import asyncio
import contextlib

import pytest

from mesh.errors import ResourceExhausted, Unavailable
from mesh.server.open_streams import CallEnd, OpenStreams


async def test_streams_have_a_limit() -> None:
    """A stream beyond the limit is rejected with a retry delay; a stream that ends makes room."""
    streams, end = OpenStreams(streams_max=1), CallEnd(asyncio.timeout(None))
    with streams.admit(end), pytest.raises(ResourceExhausted) as caught, streams.admit(end):
        raise AssertionError("admitted")
    assert caught.value.reason == "TOO_MANY_STREAMS"
    with streams.admit(end):
        assert not streams.draining


async def test_a_server_stops_while_a_stream_cleans_up_at_its_deadline() -> None:
    """The stream keeps the cause of its end, and the others are ended."""
    streams = OpenStreams()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(None) as timeout, asyncio.timeout(0) as expiring:
            end, expiring_end = CallEnd(timeout), CallEnd(expiring)
            with streams.admit(expiring_end), streams.admit(end):
                try:
                    await asyncio.sleep(60)
                finally:
                    streams.drain()
    assert expiring.expired()
    assert expiring_end.cause is None
    assert isinstance(end.cause, Unavailable)
