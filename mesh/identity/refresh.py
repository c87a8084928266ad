"""A try in the background that all who need its result share."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context


class Refresh:
    """Runs `work`, one try at a time; the next begins no sooner than `pause_s` after the end of the last.

    A try belongs to no caller: it outlives the one that began it, and runs in a context of its own. `work` handles its
    own failures.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], pause_s: float) -> None:
        self._work = work
        self._pause_s = pause_s
        self._ended_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> asyncio.Task[None] | None:
        """Returns the try that is under way, a new one if none is, or None during the pause."""
        if self._task is None and time.monotonic() - self._ended_at >= self._pause_s:
            self._task = asyncio.create_task(self._run(), context=Context())
        return self._task

    async def wait(self) -> None:
        """Returns at the end of the current try, or at once during the pause."""
        if (task := self.begin()) is not None:
            await asyncio.shield(task)

    async def _run(self) -> None:
        try:
            await self._work()
        finally:
            self._ended_at = time.monotonic()
            self._task = None
