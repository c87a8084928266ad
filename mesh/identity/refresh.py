"""A refresh in the background, shared by all callers that need its result."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Final

from mesh.background import stop

READY_WITHOUT_S: Final = 5.0
"""The time for which a new process waits for what its issuer publishes, before it is ready without."""


class Refresh:
    """A background refresh that runs `work`, once at a time and no sooner than `pause_s` after the last run ended.

    A run belongs to no caller: it outlives the caller that began it, and has a context of its own. `work` handles its
    own failures.
    """

    def __init__(self, work: Callable[[], Awaitable[None]], pause_s: float) -> None:
        self._work = work
        self._pause_s = pause_s
        self._ended_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    def begin(self, pause_s: float | None = None) -> asyncio.Task[None] | None:
        """Returns the current run, or begins one; returns None during the pause. `pause_s` replaces the usual one."""
        if pause_s is None:
            pause_s = self._pause_s
        if self._task is None and time.monotonic() - self._ended_at >= pause_s:
            self._task = asyncio.create_task(self._run(), context=Context())
        return self._task

    async def wait(self) -> None:
        """Waits until the current or a new run has ended; returns at once during the pause."""
        if (task := self.begin()) is not None:
            await asyncio.shield(task)

    async def stop(self) -> None:
        """Cancels the current run."""
        if self._task is not None:
            await stop([self._task])

    async def _run(self) -> None:
        try:
            await self._work()
        finally:
            self._ended_at = time.monotonic()
            self._task = None
