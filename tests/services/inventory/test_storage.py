"""The tables of stock and reservations in a real PostgreSQL."""

import asyncio

import asyncpg
import pytest

from services.inventory import reservations, storage
from services.inventory.domain import State
from tests.services.inventory.warehouse import AXE, NOW, SAW, VALID, Warehouse


@pytest.mark.parametrize(("on_hand", "reserved"), [(1, 2), (1, -1), (-1, -1)])
async def test_the_database_refuses_to_oversell(warehouse: Warehouse, on_hand: int, reserved: int) -> None:
    """The last guard is a constraint, whatever the code does."""
    await warehouse.fill(saw=1)
    with pytest.raises(asyncpg.CheckViolationError):
        async with warehouse.database.transaction() as tx:
            await tx.execute("UPDATE stock SET on_hand = $1, reserved = $2", on_hand, reserved)
    assert await warehouse.stock() == (1, 0)


async def test_a_product_gets_its_row_once(warehouse: Warehouse) -> None:
    """First adjustments at the same time all count."""
    await asyncio.gather(*(warehouse.fill(axe=1, saw=1) if n % 2 else warehouse.fill(saw=1, axe=1) for n in range(16)))
    assert (await warehouse.stock(SAW), await warehouse.stock(AXE)) == ((16, 0), (16, 0))


async def test_one_of_simultaneous_reservations_is_made(warehouse: Warehouse) -> None:
    """An order that is reserved by an event and by calls at the same time is reserved once, and published once."""
    await warehouse.fill(saw=50)
    states = await asyncio.gather(*(warehouse.reserve("orders/1", saw=3) for _ in range(12)))
    assert set(states) == {State.RESERVED}
    assert await warehouse.stock() == (50, 3)
    assert await warehouse.events() == ["StockReserved"]


async def test_an_order_is_reserved_or_released_first(warehouse: Warehouse) -> None:
    """If both happen at the same time, nothing stays reserved, whichever comes first."""
    await warehouse.fill(saw=50)
    for number in range(10):
        order = f"orders/{number}"
        await asyncio.gather(warehouse.reserve(order, saw=3), warehouse.release(order), warehouse.commit(order))
        assert await warehouse.release(order) in {State.RELEASED, State.RETURNED}
    assert await warehouse.stock() == (50, 0)


async def test_workers_share_what_has_expired(warehouse: Warehouse) -> None:
    """Several replicas end each reservation once, also those that are committed or released at this moment."""
    await warehouse.fill(saw=60)
    for number in range(30):
        await warehouse.reserve(f"orders/{number}", saw=2)
    expired = await asyncio.gather(
        *(warehouse.expire() for _ in range(4)),
        *(warehouse.commit(f"orders/{number}") for number in range(10)),
        *(warehouse.release(f"orders/{number}") for number in range(10, 20)),
    )
    events = await warehouse.events()
    assert sum(count for count in expired if isinstance(count, int)) == events.count("StockRejected")
    assert await warehouse.stock() == (40, 0)


async def test_a_worker_passes_over_what_another_has_locked(warehouse: Warehouse) -> None:
    """A worker takes the next reservation that is not locked, and none if all are."""
    await warehouse.fill(saw=5)
    for number in range(2):
        await warehouse.reserve(f"orders/{number}", saw=1)
    async with warehouse.database.transaction() as first, warehouse.database.transaction() as second:
        taken = [await storage.take_expired(tx, NOW + VALID) for tx in (first, second)]
        assert {reservation.order for reservation in taken if reservation} == {"orders/0", "orders/1"}
        assert await warehouse.expire() == 0
    assert await warehouse.expire() == 2


async def test_changes_of_low_stock_come_in_the_order_of_commits(warehouse: Warehouse) -> None:
    """A change that takes its position first becomes visible first, so that a stream misses none."""
    await warehouse.fill(saw=5, axe=5)
    async with warehouse.database.transaction() as tx:
        began = await storage.low_position(tx)
    async with warehouse.database.transaction() as slow:
        await reservations.reserve(slow, "orders/1", {SAW: 5}, NOW, VALID)
        fast = asyncio.create_task(warehouse.reserve("orders/2", axe=5))
        async with warehouse.database.transaction() as watching:
            while not await watching.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                assert not fast.done()
                await asyncio.sleep(0.01)
            assert await storage.list_low_changes(watching, began, began) == []
    assert await fast is State.RESERVED
    async with warehouse.database.transaction() as tx:
        changes = await storage.list_low_changes(tx, began, began)
    assert [stock.product for _, stock in changes] == [SAW, AXE]
