"""The reader of response messages with a timeout."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from edge.call.response_reader import ResponseReader
from edge.http.idle_timer import IdleTimer
from mesh.errors import Metadata


class Silence:
    """A response without messages and without an end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def initial_metadata(self) -> Metadata:
        """Returns no metadata."""
        return ()

    async def trailing_metadata(self) -> Metadata:
        """Returns no metadata."""
        return ()


def timers() -> list[asyncio.TimerHandle]:
    """Returns the timers of the process that would fire in an hour."""
    soon = asyncio.get_running_loop().time() + 3000
    # Not isinstance(), which would dereference dead weak references.
    handles = [each for each in gc.get_objects() if type(each) is asyncio.TimerHandle]
    return [each for each in handles if not each.cancelled() and each.when() > soon]


async def test_a_cancelled_read_leaves_no_timer() -> None:
    """A cancelled read cancels its timer; otherwise timers would accumulate during a heartbeat interval."""
    before = len(timers())
    async with ResponseReader(Silence(), IdleTimer()) as feed:
        waiting = asyncio.create_task(feed.next(3600))
        while len(timers()) == before:
            await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    assert len(timers()) == before
