"""Waiting for what replicas and the database do meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable

from mesh.database import Database


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits until a condition is true."""
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def are_waiting(database: Database, count: int) -> bool:
    """Returns whether this number of transactions waits for locks."""
    return await waiting_count(database) == count


async def waiting_count(database: Database) -> int:
    """Returns the number of transactions that wait for locks."""
    async with database.transaction() as tx:
        return int(await tx.fetchval("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"))
