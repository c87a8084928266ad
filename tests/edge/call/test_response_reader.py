"""The messages of a response, taken by somebody who does not wait forever."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from edge.call.response_reader import ResponseReader
from edge.http.idle_timer import IdleTimer
from mesh.errors import Metadata


class Silence:
    """A response that has no message and no end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def initial_metadata(self) -> Metadata:
        """Nothing."""
        return ()

    async def trailing_metadata(self) -> Metadata:
        """Nothing."""
        return ()


def timers() -> list[asyncio.TimerHandle]:
    """Those of the process that would go off in an hour."""
    soon = asyncio.get_running_loop().time() + 3000
    # Not isinstance(), which would look behind weak references whose object is gone.
    handles = [each for each in gc.get_objects() if type(each) is asyncio.TimerHandle]
    return [each for each in handles if not each.cancelled() and each.when() > soon]


async def test_who_leaves_leaves_no_timer() -> None:
    """Or as many would pile up as clients come and go within the time of a heartbeat."""
    before = len(timers())
    async with ResponseReader(Silence(), IdleTimer()) as feed:
        waiting = asyncio.create_task(feed.next(3600))
        while len(timers()) == before:
            await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    assert len(timers()) == before
