"""The limits of a server: what one client may take from the others, and from the memory of the process."""

import asyncio

from mesh.http2 import frames
from mesh.http2.server.call import ServerCall
from tests.mesh.http2.dialing import opening, serving
from tests.mesh.http2.scripted import data, prefixed


async def test_messages_that_have_arrived_are_read_in_turns() -> None:
    """A stream of many small messages, which arrive together, does not make other calls wait until all are read."""
    others = asyncio.Event()
    read_before = 0

    async def serve(call: ServerCall) -> None:
        nonlocal read_before
        async for _ in call.requests():
            if not read_before:
                asyncio.get_running_loop().call_soon(others.set)
            read_before += not others.is_set()
        call.finish(b"answer")

    async with asyncio.timeout(30), serving(serve, takes_stream=True) as served, served.dialed() as peer:
        peer.send(opening(1), data(1, prefixed(b"tiny") * 1_800, frames.END_STREAM))
        await peer.next(frames.DATA)
    assert 0 < read_before < 100
