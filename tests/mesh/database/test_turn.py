"""Turns to assign positions in a table."""

import asyncio
from collections.abc import Awaitable, Callable

from mesh.database import Database, take_turn


async def test_one_transaction_at_a_time_has_the_turn(open_database: Callable[..., Awaitable[Database]]) -> None:
    """A second one waits until the first has ended; that of another table does not."""
    database = await open_database()
    order: list[str] = []

    async def second() -> None:
        async with database.transaction() as tx:
            await take_turn(tx, "mesh.outbox")
            order.append("second")

    async with database.transaction() as tx:
        await take_turn(tx, "mesh.outbox")
        waiting = asyncio.create_task(second())
        async with database.transaction() as other:
            await take_turn(other, "mesh.inbox")
        await asyncio.sleep(0.2)
        order.append("first")
    await waiting
    assert order == ["first", "second"]
