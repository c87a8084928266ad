"""Listeners that are notified when a transaction of any process notifies a channel (LISTEN, NOTIFY)."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

from mesh.background import Worker, WorkSignal, wait
from mesh.database.database import Database
from mesh.errors import Unavailable

CHECK_PAUSE_S: Final = 5.0  # a connection that broke silently is noticed after this time and the limit of a statement


class Listener(Worker):
    """The listener to a channel, which works while its context lasts.

    A notification arrives once its transaction is committed, so a task that it wakes finds the change.
    """

    def __init__(self, database: Database, channel: str, wake: Callable[[str | None], None]) -> None:
        """Prepares the listener. `wake` is called with the payload of each notification, and with None when listening
        begins, and begins again, because notifications may have been missed before.
        """
        super().__init__({f"wakeup by {channel}": self._listen})
        self._database = database
        self._channel = channel
        self._wake = wake

    async def _listen(self) -> None:
        ended = asyncio.Event()
        async with self._database.session() as session:
            session.add_termination_listener(lambda *_: ended.set())
            await session.add_listener(self._channel, self._notified)
            self._wake(None)
            while not ended.is_set():
                await session.execute("SELECT 1")
                await wait(ended, CHECK_PAUSE_S)
        raise Unavailable("The database has ended the session.")

    def _notified(self, _session: Any, _pid: int, _channel: str, payload: object) -> None:
        self._wake(str(payload))


class WorkListener(Listener):
    """A listener whose signal wakes one of its tasks for each notification, and all of them when some may be missed.

    PostgreSQL delivers equal notifications of a transaction once, so each must have a payload of its own.
    """

    def __init__(self, database: Database, channel: str, tasks: int) -> None:
        self.signal = WorkSignal(tasks)
        super().__init__(database, channel, lambda payload: self.signal.notify(None if payload is None else 1))


class ChangeListener(Listener):
    """A listener to changes, for streams that wait for the next one. Payloads are the UUIDs of what has changed."""

    def __init__(self, database: Database, channel: str) -> None:
        self._waiting: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        super().__init__(database, channel, self._set)

    @contextmanager
    def watch(self, uid: UUID) -> Iterator[asyncio.Event]:
        """Yields an event that is set, until the block ends, whenever the resource with this UUID may have changed."""
        changed = asyncio.Event()
        self._waiting[uid].add(changed)
        try:
            yield changed
        finally:
            self._waiting[uid].discard(changed)
            if not self._waiting[uid]:
                del self._waiting[uid]

    def _set(self, payload: str | None) -> None:
        woken = self._waiting.values() if payload is None else [self._waiting.get(UUID(payload), set())]
        for events in woken:
            for changed in events:
                changed.set()
