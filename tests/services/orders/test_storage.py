"""The SQL of orders on a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from mesh.database import Database
from mesh.money import Money
from mesh.pagination import read_page
from services.orders import storage
from services.orders.domain import Actor, Order, OrderLine, State

ADA = Actor("users/ada")
NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def order(customer: str = "users/ada", *, at: datetime = NOW, lines: int = 2) -> Order:
    """Returns a pending order with this number of different lines."""
    return Order.place(
        uuid4(),
        customer,
        tuple(OrderLine(f"products/{n}", f"Gerät {n} 🌱", n + 1, Money("EUR", 100 * n)) for n in range(lines)),
        at,
    )


async def insert(database: Database, *orders: Order) -> None:
    """Inserts these orders."""
    async with database.transaction() as tx:
        for each in orders:
            await storage.insert(tx, each)


async def find(database: Database, uid: UUID) -> Order | None:
    """Reads an order."""
    async with database.transaction() as tx:
        return await storage.find(tx, uid)


async def listed(database: Database, customer: str | None, size: int) -> list[list[Order]]:
    """Returns all pages of a list."""
    pages, token = [], ""
    while True:
        page = read_page(size, token, query=("test",), key_types=storage.KEY_TYPES)
        async with database.transaction() as tx:
            orders, token = await storage.list_orders(tx, customer, page)
        pages.append(orders)
        if not token:
            return pages


async def test_an_order_is_read_as_it_was_written(database: Database) -> None:
    """Every field is read back, the lines in their order, times to the microsecond."""
    written = order(lines=12)
    await insert(database, order(), written)
    assert await find(database, written.uid) == written


async def test_an_order_that_does_not_exist_is_none(database: Database) -> None:
    """Nothing is found in an empty table."""
    assert await find(database, uuid4()) is None


async def test_an_update_writes_all_changes(database: Database) -> None:
    """State, time and version are updated; other orders do not change."""
    written, other = order(), order()
    await insert(database, written, other)
    cancelled = written.cancel(ADA, "", NOW + timedelta(minutes=1))
    async with database.transaction() as tx:
        await storage.update(tx, cancelled)
    assert await find(database, written.uid) == cancelled
    assert await find(database, other.uid) == other


async def test_pages_are_newest_first_and_complete(database: Database) -> None:
    """The pages have the orders of one customer, some of the same instant, once each and in one order."""
    own = [order(at=NOW + timedelta(minutes=n // 2)) for n in range(7)]
    await insert(database, *own, order("users/eve"))
    pages = await listed(database, "users/ada", 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    newest_first = sorted(own, key=lambda each: (each.create_time, each.uid), reverse=True)
    assert [each for page in pages for each in page] == newest_first


async def test_without_a_customer_all_orders_are_listed(database: Database) -> None:
    """Staff sees the orders of all customers."""
    orders = [order("users/ada"), order("users/eve")]
    await insert(database, *orders)
    [page] = await listed(database, None, 10)
    assert {each.uid for each in page} == {each.uid for each in orders}


async def test_an_empty_list_is_one_empty_page(database: Database) -> None:
    """A customer without orders gets no orders and no token."""
    assert await listed(database, "users/ada", 10) == [[]]


async def test_pages_of_long_orders_are_shorter(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends before its lines exceed a message, and the next one continues without losing an order."""
    monkeypatch.setattr(storage, "PAGE_LINES_MAX", 10)
    orders = [order(at=NOW - timedelta(minutes=n), lines=lines) for n, lines in enumerate([4, 6, 1, 10, 2])]
    await insert(database, *orders)
    pages = await listed(database, "users/ada", 100)
    assert [[each.uid for each in page] for page in pages] == [
        [orders[0].uid, orders[1].uid],
        [orders[2].uid],
        [orders[3].uid],
        [orders[4].uid],
    ]


async def test_a_locked_order_waits_for_its_change(database: Database) -> None:
    """Of two transactions that lock an order, the second reads the changes of the first."""
    written = order()
    await insert(database, written)
    seen: list[State] = []

    async def cancel() -> None:
        async with database.transaction() as tx:
            found = await storage.find(tx, written.uid, lock=True)
            assert found is not None
            seen.append(found.state)
            await asyncio.sleep(0.1)
            await storage.update(tx, found.cancel(ADA, "", NOW))

    await asyncio.gather(cancel(), cancel())
    assert seen == [State.PENDING, State.CANCELLED]
