"""The worker that deletes what has been kept for long enough."""

import asyncio
from types import TracebackType
from typing import Final, Self

from mesh.background import keep_running, stop
from mesh.database import Database
from services.notifications.storage import notifications, webhook_messages

PAUSE_S: Final = 60.0
ROWS_MAX: Final = 500


class Purge:
    """The worker, which deletes a limited number of rows at a time while its context lasts."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(keep_running("purge", self._purge))]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._tasks)

    async def _purge(self) -> None:
        async with self._database.transaction() as tx:
            purged = [await notifications.purge(tx, ROWS_MAX), await webhook_messages.purge(tx, ROWS_MAX)]
        if max(purged) < ROWS_MAX:
            await asyncio.sleep(PAUSE_S)
