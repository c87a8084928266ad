"""Turns of tables."""

import asyncio
from collections.abc import Awaitable, Callable

from mesh.database import Database, lock_key, take_turn, try_lock_key, try_turn


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


async def test_a_turn_that_is_taken_is_not_waited_for(open_database: Callable[..., Awaitable[Database]]) -> None:
    """Only one of two transactions gets the turn, until it ends."""
    database = await open_database()
    async with database.transaction() as tx:
        assert await try_turn(tx, "mesh.outbox")
        async with database.transaction() as other:
            assert not await try_turn(other, "mesh.outbox")
            assert await try_turn(other, "mesh.inbox")
    async with database.transaction() as tx:
        assert await try_turn(tx, "mesh.outbox")


async def test_a_key_is_locked_alone_or_shared(open_database: Callable[..., Awaitable[Database]]) -> None:
    """Transactions that share the lock of a key keep others from having it alone; another key or table is free."""
    database = await open_database()
    async with database.transaction() as tx, database.transaction() as other:
        await lock_key(tx, "mesh.outbox", "a", shared=True)
        await lock_key(other, "mesh.outbox", "a", shared=True)
        assert not await try_lock_key(other, "mesh.outbox", "a")
        assert await try_lock_key(other, "mesh.outbox", "b")
        assert await try_lock_key(other, "mesh.inbox", "a")
    async with database.transaction() as tx:
        assert await try_lock_key(tx, "mesh.outbox", "a")
