"""Complete request bodies."""

import tracemalloc
from collections.abc import MutableMapping
from typing import Any

from edge.http.whole_body import BodyLimits, read_body
from tests.edge.requests import request_of


async def test_small_pieces_take_no_more_memory_than_large_ones() -> None:
    """A client that sends a body of 100 kB in segments of two bytes makes the edge hold little more."""
    request = request_of("POST", {b"transfer-encoding": b"chunked"})
    left = 50_000

    async def receive() -> MutableMapping[str, Any]:
        nonlocal left
        left -= 1
        return {"type": "http.request", "body": left.to_bytes(2), "more_body": left > 0}

    request.receive = receive
    tracemalloc.start()
    try:
        body = await read_body(request, BodyLimits(100_000, 60))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(body) == 100_000
    assert body.endswith(b"\0\x01\0\0")
    assert peak < 400_000
