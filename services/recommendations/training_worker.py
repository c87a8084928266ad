"""The worker that trains the model from baskets, in stages."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final

from mesh.background import Worker
from mesh.database import Connection, Database, try_lock_relation
from services.recommendations import erasure_storage, exposure_storage
from services.recommendations.feature_preparation import prepare
from services.recommendations.training import train

PAUSE_S: Final = 1.0


class TrainingWorker(Worker):
    """The worker that trains the model while its context lasts. One replica works at a time; if it dies, another
    continues.
    """

    def __init__(self, database: Database) -> None:
        super().__init__({"training worker": self._step})
        self._database = database

    async def _step(self) -> None:
        if not await self.learn(datetime.now(UTC)):
            await asyncio.sleep(PAUSE_S)

    async def learn(self, now: datetime) -> bool:
        """Does a part of the work of each stage, in a transaction of its own. Returns False if there was nothing to do,
        or another replica is doing it.
        """
        stages = (partial(prepare, now=now), train, partial(_purge, now=now))
        return any([await self._run_alone(stage) for stage in stages])

    async def _run_alone(self, stage: Callable[[Connection], Awaitable[bool]]) -> bool:
        async with self._database.transaction() as tx:
            return await try_lock_relation(tx, "stale_products") and await stage(tx)


async def _purge(tx: Connection, now: datetime) -> bool:
    """Deletes rows that are past their retention. Returns False if there are none."""
    return bool(await exposure_storage.purge(tx, now) + await erasure_storage.purge(tx, now))
