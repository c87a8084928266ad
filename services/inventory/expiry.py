"""The worker that ends reservations which nobody committed or released in time."""

import asyncio
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from mesh.background import keep_running, stop
from mesh.database import Database
from services.inventory import reservations

PAUSE_S: Final = 5.0


class Expiry:
    """The worker, which ends one reservation after the other while its context lasts. Replicas share the work."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(keep_running("expiry of reservations", self._expire))]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._tasks)

    async def _expire(self) -> None:
        async with self._database.transaction() as tx:
            expired = await reservations.expire_one(tx, datetime.now(UTC))
        if not expired:
            await asyncio.sleep(PAUSE_S)
