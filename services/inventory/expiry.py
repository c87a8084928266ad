"""The worker that ends reservations which nobody committed or released in time."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from mesh.background import Worker
from mesh.database import Database
from services.inventory import reservations

PAUSE_S: Final = 5.0


class Expiry(Worker):
    """The worker, which ends one reservation after the other while its context lasts. Replicas share the work."""

    def __init__(self, database: Database) -> None:
        super().__init__({"expiry of reservations": self._expire})
        self._database = database

    async def _expire(self) -> None:
        async with self._database.transaction() as tx:
            expired = await reservations.expire_one(tx, datetime.now(UTC))
        if not expired:
            await asyncio.sleep(PAUSE_S)
