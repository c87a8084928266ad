"""Advisory locks on tables and their keys."""

import asyncio
from collections.abc import Awaitable, Callable

from mesh.database import Database, lock_key, lock_relation, try_lock_key, try_lock_relation


async def test_one_transaction_at_a_time_holds_the_lock(open_database: Callable[..., Awaitable[Database]]) -> None:
    """A second transaction waits until the first has ended; one that locks another table does not wait."""
    database = await open_database()
    order: list[str] = []

    async def second() -> None:
        async with database.transaction() as tx:
            await lock_relation(tx, "mesh.outbox")
            order.append("second")

    async with database.transaction() as tx:
        await lock_relation(tx, "mesh.outbox")
        waiting = asyncio.create_task(second())
        async with database.transaction() as other:
            await lock_relation(other, "mesh.inbox")
        await asyncio.sleep(0.2)
        order.append("first")
    await waiting
    assert order == ["first", "second"]


async def test_a_lock_that_is_held_is_not_waited_for(open_database: Callable[..., Awaitable[Database]]) -> None:
    """Only one of two transactions gets the lock, until it ends."""
    database = await open_database()
    async with database.transaction() as tx:
        assert await try_lock_relation(tx, "mesh.outbox")
        async with database.transaction() as other:
            assert not await try_lock_relation(other, "mesh.outbox")
            assert await try_lock_relation(other, "mesh.inbox")
    async with database.transaction() as tx:
        assert await try_lock_relation(tx, "mesh.outbox")


async def test_a_key_is_locked_alone_or_shared(open_database: Callable[..., Awaitable[Database]]) -> None:
    """Transactions that share the lock of a key keep others from locking it alone; another key or table is free."""
    database = await open_database()
    async with database.transaction() as tx, database.transaction() as other:
        await lock_key(tx, "mesh.outbox", "a", shared=True)
        await lock_key(other, "mesh.outbox", "a", shared=True)
        assert not await try_lock_key(other, "mesh.outbox", "a")
        assert await try_lock_key(other, "mesh.outbox", "b")
        assert await try_lock_key(other, "mesh.inbox", "a")
    async with database.transaction() as tx:
        assert await try_lock_key(tx, "mesh.outbox", "a")
