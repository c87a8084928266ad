"""The deletion of rows past their retention."""

import asyncio
from typing import Final

from mesh.background import Worker
from mesh.database import Database
from services.analytics import event_storage, metric_storage, past_days

EVERY_S: Final = 60.0


class Purge(Worker):
    """Deletes old events of clients, roll-ups, names and quotas while its context lasts, a limited number each time."""

    def __init__(self, database: Database) -> None:
        super().__init__({"purge": self._step})
        self._database = database

    async def _step(self) -> None:
        """Deletes again at once while there is much to delete."""
        if await self.purge() < metric_storage.PURGED_PER_CALL_MAX:
            await asyncio.sleep(EVERY_S)

    async def purge(self) -> int:
        """Deletes once. Returns the number of rows."""
        async with self._database.transaction() as tx:
            events, rollups = await event_storage.purge(tx), await metric_storage.purge(tx)
            counts = [await past_days.purge(tx, table) for table in past_days.TABLES]
            return events + rollups + sum(counts)
