"""The SQL of orders on a real PostgreSQL."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from mesh.database import Database
from mesh.money import Money
from mesh.pagination import read_page
from services.orders import storage
from services.orders.domain import (
    Actor,
    Order,
    OrderLine,
    PendingStep,
    Shipment,
    ShipmentEvent,
    ShipmentEventKind,
    State,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ADA = Actor("users/ada")
SHIPMENT = Shipment("DHL", "1", NOW)


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
            await storage.insert(tx, each, "The order was placed.")


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


async def test_an_order_has_all_that_became_of_it(database: Database) -> None:
    """Its steps, its payment, its shipment with events, and its end are read as they were written."""
    places: list[Callable[[Order], Order]] = [
        lambda each: each.reserve_stock(NOW),
        lambda each: each.reserve_stock(NOW).hold_payment("payments/1", NOW),
        lambda each: each.retry(NOW + timedelta(minutes=1)),
        lambda each: each.reject_stock(NOW),
        lambda each: each.refund_payment("payments/1", Money("EUR", 50), NOW),
        lambda each: each.reserve_stock(NOW).capture_payment("payments/1", NOW).ship(SHIPMENT, "", NOW),
    ]
    written = [place(replace(order(), payment_method="card_ok")) for place in places]
    await insert(database, *(Order.place(each.uid, each.customer, each.lines, NOW, "card_ok") for each in written))
    async with database.transaction() as tx:
        for each in written:
            await storage.update(tx, each)
    event = ShipmentEvent(ShipmentEventKind.DELIVERED, "Leipzig", NOW)
    shipped = written[-1].record_shipment_event(event, NOW)
    async with database.transaction() as tx:
        await storage.insert_shipment_event(tx, shipped.uid, 1, event)
        await storage.update(tx, shipped)
    assert [await find(database, each.uid) for each in written[:-1]] == written[:-1]
    assert await find(database, shipped.uid) == shipped
    [page] = await listed(database, "users/ada", 10)
    assert shipped in page


async def test_events_of_shipments_shorten_pages(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as lines do, because they take as much of a message."""
    monkeypatch.setattr(storage, "PAGE_LINES_MAX", 5)
    orders = [order(at=NOW - timedelta(minutes=n), lines=1) for n in range(3)]
    await insert(database, *orders)
    async with database.transaction() as tx:
        for position in range(1, 4):
            event = ShipmentEvent(ShipmentEventKind.IN_TRANSIT, "", NOW)
            await storage.insert_shipment_event(tx, orders[0].uid, position, event)
    assert [len(page) for page in await listed(database, "users/ada", 10)] == [2, 1]


async def test_the_version_before_works_on_the_tables(database: Database) -> None:
    """An order that one of its processes inserts waits for stock, and one that it cancels waits for nothing."""
    placed = order()
    await insert(database, placed)
    before = "uid, customer, state, create_time, update_time, version"
    async with database.transaction() as tx:
        await tx.execute(
            f"INSERT INTO orders ({before}) SELECT $1, customer, state, create_time, update_time, version FROM orders",
            UUID(int=7),
        )
        await tx.execute(
            "INSERT INTO order_lines SELECT $1, position, product, title, quantity, currency, "
            "unit_price_hundredths FROM order_lines",
            UUID(int=7),
        )
    found = await find(database, UUID(int=7))
    assert found is not None
    assert found.pending_step is PendingStep.STOCK
    async with database.transaction() as tx:
        await tx.execute("UPDATE orders SET state = 'cancelled', update_time = now(), version = 2")
    found = await find(database, placed.uid)
    assert found is not None
    assert (found.state, found.wait, found.cancel_reason) == (State.CANCELLED, None, None)
