"""Reservations, with a real PostgreSQL."""

import asyncio
import random
from datetime import timedelta

from services.inventory import reservations, storage
from services.inventory.domain import Reservation, State, Stock
from tests.services.inventory.warehouse import AXE, NOW, SAW, VALID, Warehouse


async def test_the_last_unit_is_sold_once(warehouse: Warehouse) -> None:
    """Of 64 buyers at the same time one gets it."""
    await warehouse.fill(saw=1)
    states = await asyncio.gather(*(warehouse.reserve(f"orders/{number}", saw=1) for number in range(64)))
    assert sorted(state.value for state in states) == ["rejected"] * 63 + ["reserved"]
    assert await warehouse.stock() == (1, 1)


async def test_orders_of_the_same_products_do_not_block_each_other(warehouse: Warehouse) -> None:
    """Orders with their lines in any order do not deadlock, and either all or none of their lines are reserved."""
    names = [f"p{number}" for number in range(8)]
    await warehouse.fill(**dict.fromkeys(names, 20))
    chance = random.Random(7)
    orders = [chance.sample(names, 5) for _ in range(48)]
    states = await asyncio.gather(
        *(warehouse.reserve(f"orders/{number}", **dict.fromkeys(lines, 1)) for number, lines in enumerate(orders))
    )
    reserved = [lines for lines, state in zip(orders, states, strict=True) if state is State.RESERVED]
    assert reserved
    for name in names:
        on_hand, taken = await warehouse.stock(f"products/{name}")
        assert (on_hand, taken) == (20, sum(name in lines for lines in reserved))


async def test_all_or_nothing_is_reserved(warehouse: Warehouse) -> None:
    """A line that is short, or of a product that was never there, leaves the others alone."""
    await warehouse.fill(saw=5, axe=1)
    assert await warehouse.reserve("orders/1", saw=1, axe=2) is State.REJECTED
    assert await warehouse.reserve("orders/2", saw=1, unknown=1) is State.REJECTED
    assert (await warehouse.stock(SAW), await warehouse.stock(AXE)) == ((5, 0), (1, 0))
    assert (await warehouse.events())[-2:] == ["StockRejected", "StockRejected"]


async def test_every_step_can_be_repeated(warehouse: Warehouse) -> None:
    """The second time has no effect, and publishes nothing."""
    await warehouse.fill(saw=5)
    for _ in range(2):
        assert await warehouse.reserve("orders/1", saw=2) is State.RESERVED
    for _ in range(2):
        assert await warehouse.commit("orders/1") is State.COMMITTED
    assert await warehouse.stock() == (3, 0)
    for _ in range(2):
        assert await warehouse.release("orders/1") is State.RETURNED
    assert await warehouse.stock() == (5, 0)
    assert await warehouse.events() == ["StockReserved"]


async def test_a_released_order_is_never_reserved(warehouse: Warehouse) -> None:
    """The cancellation may arrive before the order does."""
    await warehouse.fill(saw=5)
    assert await warehouse.release("orders/1") is State.RELEASED
    assert await warehouse.reserve("orders/1", saw=2) is State.RELEASED
    assert await warehouse.commit("orders/1") is State.RELEASED
    assert await warehouse.stock() == (5, 0)


async def test_reservations_expire(warehouse: Warehouse) -> None:
    """A reservation expires at its time and not before; its units become available, and the order is notified."""
    await warehouse.fill(saw=5)
    await warehouse.reserve("orders/1", saw=2)
    await warehouse.reserve("orders/2", saw=3)
    await warehouse.commit("orders/2")
    assert await warehouse.expire(NOW + VALID - timedelta(seconds=1)) == 0
    assert await warehouse.expire() == 1
    assert await warehouse.stock() == (2, 0)
    assert (await warehouse.events())[-1] == "StockRejected"


async def test_a_paid_order_takes_its_units_after_they_expired(warehouse: Warehouse) -> None:
    """If they are still there; otherwise the order hears that they are not."""
    await warehouse.fill(saw=2)
    await warehouse.reserve("orders/1", saw=2)
    await warehouse.expire()
    assert await warehouse.commit("orders/1") is State.COMMITTED
    assert await warehouse.stock() == (0, 0)
    await warehouse.release("orders/1")
    await warehouse.reserve("orders/2", saw=2)
    await warehouse.expire()
    await warehouse.reserve("orders/3", saw=1)
    assert await warehouse.commit("orders/2") is State.EXPIRED
    assert await warehouse.stock() == (2, 1)
    assert (await warehouse.events())[-1] == "StockRejected"


async def test_a_product_that_runs_low_is_published_once(warehouse: Warehouse) -> None:
    """StockLow is published when a product reaches its reorder level, and again only after it was refilled."""
    await warehouse.fill(saw=10)
    async with warehouse.database.transaction() as tx:
        before = await storage.lock(tx, [SAW])
        await reservations.write_stock(tx, before, [before[SAW].reorder_at(8, 20, "", NOW)])
    for number in range(4):
        await warehouse.reserve(f"orders/{number}", saw=1)
    await warehouse.fill(saw=10)
    await warehouse.reserve("orders/5", saw=8)
    assert (await warehouse.events()).count("StockLow") == 2


async def test_random_orders_keep_the_balance(warehouse: Warehouse) -> None:
    """Concurrent steps in any order leave on hand = added - committed + returned, and no unit reserved in the end."""
    await warehouse.fill(saw=30, axe=30)
    chance = random.Random(42)

    async def live(number: int) -> Reservation | None:
        order, steps = f"orders/{number}", [warehouse.commit, warehouse.release]
        await warehouse.reserve(order, saw=chance.randint(1, 3), axe=chance.randint(1, 3))
        for step in chance.sample(steps, chance.randint(0, 2)):
            await step(order)
        return None

    await asyncio.gather(*(live(number) for number in range(40)))
    await warehouse.expire()
    async with warehouse.database.transaction() as tx:
        sold = await tx.fetch(
            """
            SELECT product, sum(quantity)::bigint AS units FROM reserved_units JOIN reservations USING (order_name)
            WHERE state = 'committed' GROUP BY product
            """
        )
        committed = {row["product"]: row["units"] for row in sold}
    for product in (SAW, AXE):
        assert await warehouse.stock(product) == (30 - committed.get(product, 0), 0)


def test_a_proposal_brings_the_stock_above_its_level() -> None:
    """A proposal is a multiple of the reorder quantity; without a quantity there is none."""
    low = Stock(SAW, on_hand=3, reserved=1, reorder_level=10, reorder_quantity=4, update_time=NOW, version=1)
    assert low.proposed == 12
    assert low.adjust(12, NOW).proposed == 0
    assert low.reorder_at(10, 0, "", NOW).proposed == 0
