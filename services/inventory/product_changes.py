"""The worker that has the stock of deleted products show it: they are not reordered until they come back."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from mesh.background import Worker
from mesh.database import Connection, Database
from services.inventory import product_change_storage, reservations, storage

PAUSE_S: Final = 5.0


class ProductChanges(Worker):
    """The worker, which changes the stock of one product after the other while its context lasts. Replicas share the
    work.
    """

    def __init__(self, database: Database) -> None:
        super().__init__({"changes of products": self._apply})
        self._database = database

    async def _apply(self) -> None:
        async with self._database.transaction() as tx:
            applied = await apply_one(tx, datetime.now(UTC))
        if not applied:
            await asyncio.sleep(PAUSE_S)


async def apply_one(tx: Connection, now: datetime) -> bool:
    """Changes the stock of a product that was deleted or undeleted. Returns False if there is none. The stock is no new
    version, because its readers don't see this.
    """
    taken = await product_change_storage.take(tx)
    if taken is None:
        return False
    product, deleted = taken
    before = await storage.lock_all(tx, [product], now)
    await reservations.write_stock(tx, before, [replace(before[product], deleted=deleted)])
    return True
