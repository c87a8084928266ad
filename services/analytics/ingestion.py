"""The ingestion of events that clients report: writes them in batches, each while the next one is being read."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self

from mesh.background import stop
from mesh.database import Database
from mesh.errors import Aborted, ResourceExhausted
from services.analytics import event_storage, quota_storage
from services.analytics.client_events import ClientEvent

BATCH_EVENTS: Final = 2000
BATCH_AGE_S: Final = 1.0
"""The age at which a batch is written although it is not full, so that slow and silent calls make room."""

BATCHES_MAX: Final = 32
"""The most batches in memory, of 1 MB each. Calls wait for room, and so their clients do."""

ROOM_WAIT_S: Final = 20.0
CALLS_OF_SOURCE_MAX: Final = 8
"""The most calls of one caller at the same time, so that nobody takes all the room."""

WRITERS_MAX: Final = 2
"""The most batches that are written at the same time: one is counted while the next one is copied. More of them would
only wait for the roll-ups, each with a connection that other calls need.
"""

RETRY_AFTER_S: Final = 1.0


class Ingestion:
    """Writes the events of all calls."""

    def __init__(self, database: Database, events_of_user_per_day: int) -> None:
        """Prepares the ingestion. A user may report so many new events on a day; the last batch may exceed that."""
        self._database = database
        self._events_of_user_per_day = events_of_user_per_day
        self._calls = Counter[str]()
        self._room = asyncio.Semaphore(BATCHES_MAX)
        self._turns = asyncio.Semaphore(max(1, min(WRITERS_MAX, database.connections_max - 1)))

    @asynccontextmanager
    async def call(self, source: str) -> AsyncIterator["Batches"]:
        """Yields the batches of one call of a source: a user, or a network. Raises ResourceExhausted if it has too many
        calls in progress.
        """
        if self._calls[source] >= CALLS_OF_SOURCE_MAX:
            raise _busy(f"The caller may have {CALLS_OF_SOURCE_MAX} calls that send events at the same time.")
        self._calls[source] += 1
        try:
            async with Batches(self._room, self._insert) as batches:
                yield batches
        finally:
            self._calls[source] -= 1
            if not self._calls[source]:
                del self._calls[source]

    async def _insert(self, batch: Sequence[ClientEvent]) -> int:
        """Inserts a batch of one source, and returns the number of its events that were new. If others keep the
        roll-ups for too long, tries again until the deadline of the call.
        """
        person = batch[0].person
        while True:
            with suppress(Aborted):
                async with self._turns, self._database.transaction() as tx:
                    await quota_storage.check(tx, person, self._events_of_user_per_day)
                    accepted = await event_storage.insert(tx, batch)
                    await quota_storage.add(tx, person, accepted)
                return accepted


class Batches:
    """The events of one call, written while its context lasts. `accepted` counts those that were new."""

    def __init__(self, room: asyncio.Semaphore, insert: Callable[[Sequence[ClientEvent]], Awaitable[int]]) -> None:
        """Prepares the batches. Each takes a place of `room` from its first event until it is inserted."""
        self.accepted = 0
        self._room = room
        self._insert = insert
        self._waiting: list[ClientEvent] = []
        self._aging: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiting:
            self._room.release()
        if self._aging is not None:
            self._aging.cancel()
        if self._writing is not None:
            await stop([self._writing])

    async def add(self, events: list[ClientEvent]) -> None:
        """Adds events. Waits while an earlier batch is being written, or there is no room. Raises ResourceExhausted if
        that takes too long, and the error of an earlier batch that has failed.
        """
        if self._writing is not None and self._writing.done():
            await self._writing
        if events and not self._waiting:
            await self._take_room()
            self._age()
        self._waiting += events
        if len(self._waiting) >= BATCH_EVENTS:
            await self._written()
            self._write()

    async def finish(self) -> None:
        """Returns once every event is committed."""
        await self._written()
        self._write()
        await self._written()

    async def _take_room(self) -> None:
        try:
            async with asyncio.timeout(ROOM_WAIT_S):
                await self._room.acquire()
        except TimeoutError:
            raise _busy("Too many calls are sending events at the same time.") from None

    def _age(self) -> None:
        """Writes the waiting batch once it is old, whether or not a message arrives."""
        self._aging = asyncio.get_running_loop().call_later(BATCH_AGE_S, self._write_old)

    def _write_old(self) -> None:
        if self._writing is None or self._writing.done():
            self._write()
        else:
            self._age()

    def _write(self) -> None:
        """Begins to write the waiting batch. The batch before it is written, or has failed."""
        if self._waiting:
            batch, self._waiting = self._waiting, []
            self._writing = asyncio.create_task(self._count(batch, self._writing))
            self._writing.add_done_callback(lambda _: self._room.release())  # also if it is stopped before it begins
            if self._aging is not None:
                self._aging.cancel()

    async def _count(self, batch: Sequence[ClientEvent], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before  # raises its error
        accepted = await self._insert(batch)
        self.accepted += accepted

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing


def _busy(message: str) -> ResourceExhausted:
    return ResourceExhausted(f"{message} Try again.", reason="INGESTION_BUSY", retry_after_s=RETRY_AFTER_S)
