"""The limit on open streams."""

import asyncio

import pytest

from mesh.errors import ResourceExhausted
from mesh.server.open_streams import CallEnd, OpenStreams


async def test_streams_have_a_limit() -> None:
    """A stream beyond the limit is rejected with a retry delay; a stream that ends makes room."""
    streams, end = OpenStreams(streams_max=1), CallEnd(asyncio.timeout(None))
    with streams.admit(end), pytest.raises(ResourceExhausted) as caught, streams.admit(end):
        raise AssertionError("admitted")
    assert caught.value.reason == "TOO_MANY_STREAMS"
    with streams.admit(end):
        assert not streams.draining
