"""The ingestion of events that clients report: writes them in batches, each while the next one is being read."""

import asyncio
import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from mesh.background import stop
from mesh.database import Database
from mesh.errors import ResourceExhausted
from services.analytics import event_storage
from services.analytics.client_events import ClientEvent

BATCH_EVENTS: Final = 2000
CALLS_MAX: Final = 32
"""The most calls at the same time: each holds up to two batches, of 1 MB."""

RETRY_AFTER_S: Final = 1.0


class Ingestion:
    """Writes the events of all calls, of at most CALLS_MAX at the same time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._calls = 0

    @contextlib.contextmanager
    def call(self) -> Iterator["Batches"]:
        """Returns the batches of one call. Raises ResourceExhausted if too many calls are in progress."""
        if self._calls >= CALLS_MAX:
            raise ResourceExhausted(
                f"{CALLS_MAX} calls are sending events at the same time, which is the limit. Try again.",
                reason="INGESTION_BUSY",
                retry_after_s=RETRY_AFTER_S,
            )
        self._calls += 1
        try:
            yield Batches(self._database)
        finally:
            self._calls -= 1


class Batches:
    """The events of one call, written while its context lasts. `accepted` counts those that were new."""

    def __init__(self, database: Database) -> None:
        self.accepted = 0
        self._database = database
        self._waiting: list[ClientEvent] = []
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writing is not None:
            await stop([self._writing])

    async def add(self, events: list[ClientEvent]) -> None:
        """Adds events. While an earlier batch is being written, waits until it is."""
        self._waiting += events
        if len(self._waiting) >= BATCH_EVENTS:
            await self._write()

    async def finish(self) -> None:
        """Returns once every event is committed."""
        await self._write()
        await self._written()

    async def _write(self) -> None:
        await self._written()
        if self._waiting:
            batch, self._waiting = self._waiting, []
            self._writing = asyncio.create_task(self._insert(batch))

    async def _written(self) -> None:
        if self._writing is not None:
            writing, self._writing = self._writing, None
            await writing

    async def _insert(self, batch: list[ClientEvent]) -> None:
        async with self._database.transaction() as tx:
            accepted = await event_storage.insert(tx, batch)
        self.accepted += accepted
