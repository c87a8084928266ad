"""The worker that deletes what has been kept for long enough."""

import asyncio
from typing import Final

from mesh.background import Worker
from mesh.database import Database
from services.notifications.storage import notifications, webhook_messages

PAUSE_S: Final = 60.0
ROWS_MAX: Final = 500


class Purge(Worker):
    """The worker, which deletes a limited number of rows at a time while its context lasts."""

    def __init__(self, database: Database) -> None:
        super().__init__({"purge": self._purge})
        self._database = database

    async def _purge(self) -> None:
        async with self._database.transaction() as tx:
            purged = [await notifications.purge(tx, ROWS_MAX), await webhook_messages.purge(tx, ROWS_MAX)]
        if max(purged) < ROWS_MAX:
            await asyncio.sleep(PAUSE_S)
