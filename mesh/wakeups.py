"""The wake-ups of the streams of this process when what they show changes, at whichever replica."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from mesh.background import keep_running, stop, wait
from mesh.database import Database
from mesh.errors import Unavailable

CHECK_PAUSE_S = 5.0  # a connection that broke silently is noticed after this time and the limit of a statement


class Wakeups:
    """The listener to a channel of NOTIFY, whose payloads are UUIDs. It works while its context lasts.

    A notification arrives once its transaction is committed, so that a stream that is woken finds the change. All
    streams are woken when listening begins, and begins again, because notifications may have been missed before.
    """

    def __init__(self, database: Database, channel: str) -> None:
        self._database = database
        self._channel = channel
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(keep_running(f"notifications of {self._channel}", self._listen))]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._tasks)

    @contextmanager
    def of(self, uid: UUID) -> Iterator[asyncio.Event]:
        """Yields an event that is set, until the block ends, whenever what this identifies may have changed."""
        changed = asyncio.Event()
        self._waiting[uid].add(changed)
        try:
            yield changed
        finally:
            self._waiting[uid].discard(changed)
            if not self._waiting[uid]:
                del self._waiting[uid]

    async def _listen(self) -> None:
        ended = asyncio.Event()
        async with self._database.session() as session:
            session.add_termination_listener(lambda *_: ended.set())
            await session.add_listener(self._channel, self._wake)
            self._wake_all()
            while not ended.is_set():
                await session.execute("SELECT 1")
                await wait(ended, CHECK_PAUSE_S)
        raise Unavailable("The database has ended the session.")

    def _wake(self, _session: Any, _pid: int, _channel: str, payload: object) -> None:
        for changed in self._waiting.get(UUID(str(payload)), ()):
            changed.set()

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for changed in waiting:
                changed.set()
