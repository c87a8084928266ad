"""The consumers of events, by the inbox of a real PostgreSQL; the broker has nothing to deliver."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from meshwright.catalog.v1.catalog_pb import Product
from meshwright.catalog.v1.events_pb import ProductChanged
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced
from meshwright.orders.v1.orders_pb import Order, OrderLine
from protobuf.wkt import Timestamp

from mesh.events import Broker, inbox_table
from mesh.events.envelope import Envelope
from mesh.pagination import read_page
from services.inventory import product_change_storage, product_changes, storage
from services.inventory.consumers import Consumers
from services.inventory.storage import Adjustment, StockFilter
from tests.services.inventory.warehouse import AXE, NOW, SAW, VALID, Warehouse

Data = OrderPlaced | OrderConfirmed | OrderCancelled | ProductChanged | UserDeleted


class SilentBroker:
    """A broker that never delivers."""

    async def subscribe(self, *_: object) -> "SilentBroker":
        """Returns a subscription."""
        return self

    async def next(self) -> Sequence[object]:
        """Waits until the inbox ends."""
        await asyncio.Event().wait()
        return ()

    async def close(self) -> None:
        """Does nothing."""


@pytest.fixture
def broker() -> Broker:
    """A broker that never delivers: events are stored by the test."""
    silent: Broker = SilentBroker()  # type: ignore[assignment]  # the inbox uses no more of it
    return silent


def an_order(number: int, **units: int) -> Order:
    """Returns an order of these units."""
    lines = [OrderLine(product=f"products/{name}", quantity=quantity) for name, quantity in units.items()]
    return Order(name=f"orders/{number}", lines=lines)


def enveloped(data: Data, aggregate: str, source: str = "orders") -> Envelope:
    """Returns an event as the broker delivers it."""
    return Envelope(str(uuid4()), data.desc().type_name, source, aggregate, datetime.now(UTC), data.to_binary(), None)


def about(event: type[OrderPlaced | OrderConfirmed | OrderCancelled], order: Order) -> Envelope:
    """Returns an event about an order."""
    return enveloped(event(order=order), order.name)


def product_changed(product: str, *, deleted: bool) -> Envelope:
    """Returns an event about a product."""
    delete_time = Timestamp.from_datetime(NOW) if deleted else None
    return enveloped(ProductChanged(product=Product(name=product, delete_time=delete_time)), product, "catalog")


async def receive(warehouse: Warehouse, *events: Envelope) -> None:
    """Stores events, as the inbox does when they arrive."""
    async with warehouse.database.transaction() as tx:
        await inbox_table.store(tx, events)


async def handled(warehouse: Warehouse, broker: Broker, *, replicas: int = 1) -> list[tuple[str, int]]:
    """Handles all events that were received; returns the state and the tries of each."""
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        for _ in range(replicas):
            await stack.enter_async_context(Consumers(VALID).inbox(warehouse.database, broker))
        while True:
            async with warehouse.database.transaction() as tx:
                rows = await tx.fetch("SELECT state, attempts FROM mesh.inbox ORDER BY sequence")
            if not any(row["state"] == "pending" for row in rows):
                return [(row["state"], row["attempts"]) for row in rows]
            await asyncio.sleep(0.02)


async def test_stock_follows_an_order(warehouse: Warehouse, broker: Broker) -> None:
    """Placed, it reserves its units, those of all lines of a product together; confirmed, it takes them; cancelled
    afterwards, it puts them back.
    """
    await warehouse.fill(saw=9)
    order = an_order(1, saw=2)
    order.lines.append(OrderLine(product=SAW, quantity=3))
    for event, stock in ((OrderPlaced, (9, 5)), (OrderConfirmed, (4, 0)), (OrderCancelled, (9, 0))):
        await receive(warehouse, about(event, order))
        await handled(warehouse, broker)
        assert await warehouse.stock() == stock
    assert await warehouse.events() == ["StockReserved"]


async def test_a_cancelled_order_releases_its_units(warehouse: Warehouse, broker: Broker) -> None:
    """A cancellation after the reservation releases the units; one before it prevents the reservation."""
    await warehouse.fill(saw=9)
    await receive(warehouse, about(OrderPlaced, an_order(1, saw=2)), about(OrderCancelled, an_order(1, saw=2)))
    await receive(warehouse, about(OrderCancelled, an_order(2, saw=2)), about(OrderPlaced, an_order(2, saw=2)))
    assert await handled(warehouse, broker) == [("done", 1)] * 4
    assert await warehouse.stock() == (9, 0)
    assert await warehouse.events() == ["StockReserved"]


async def test_events_that_do_not_apply_make_no_dead_letters(warehouse: Warehouse, broker: Broker) -> None:
    """A confirmation of an order that has no reservation yet, a rejected one or a released one, and repetitions."""
    order = an_order(1, saw=2)
    for event in (OrderConfirmed, OrderPlaced, OrderConfirmed, OrderCancelled, OrderConfirmed, OrderCancelled):
        await receive(warehouse, about(event, order))
    assert await handled(warehouse, broker) == [("done", 1)] * 6
    assert await warehouse.events() == ["StockRejected"]


async def test_orders_with_overlapping_lines_never_wait_for_each_other_in_a_circle(
    warehouse: Warehouse, broker: Broker
) -> None:
    """Two replicas with several workers handle each event at its first try: PostgreSQL has no deadlock to end."""
    names = [f"p{number}" for number in range(6)]
    await warehouse.fill(**dict.fromkeys(names, 60))
    chance = random.Random(3)
    orders = [an_order(number, **dict.fromkeys(chance.sample(names, 3), 1)) for number in range(150)]
    await receive(warehouse, *(about(OrderPlaced, order) for order in orders))
    assert await handled(warehouse, broker, replicas=2) == [("done", 1)] * len(orders)
    events = await warehouse.events()
    for name in names:
        on_hand, reserved = await warehouse.stock(f"products/{name}")
        assert on_hand >= reserved
    assert events.count("StockReserved") + events.count("StockRejected") == len(orders)


async def test_deleted_staff_leave_their_adjustments_without_a_name(warehouse: Warehouse, broker: Broker) -> None:
    """Others keep theirs, and the stock remains."""
    await warehouse.fill(saw=9)
    async with warehouse.database.transaction() as tx:
        for actor in ("users/eve", "users/bob"):
            await storage.insert_adjustments(tx, [Adjustment(SAW, 1, "COUNTED", "", actor, NOW)])
    await receive(warehouse, enveloped(UserDeleted(user="users/eve"), "users/eve", "identity"))
    assert await handled(warehouse, broker) == [("done", 1)]
    async with warehouse.database.transaction() as tx:
        listed, _ = await storage.list_adjustments(tx, SAW, read_page(0, "", query=(), key_types=(int,)))
    assert [adjustment.actor for adjustment in listed] == ["users/bob", ""]


async def test_a_deleted_product_is_not_reordered_until_it_comes_back(warehouse: Warehouse, broker: Broker) -> None:
    """Also if its level is raised meanwhile, or it is in stock only then. Each of its returns is published."""
    for deleted in (True, True, False, False, True):
        await receive(warehouse, *(product_changed(product, deleted=deleted) for product in (SAW, AXE)))
    await handled(warehouse, broker)
    await warehouse.change_products()
    assert await warehouse.listed(StockFilter.ALL) == []
    await warehouse.fill(saw=9, axe=9)
    await warehouse.reorder_at(SAW, 10)
    assert await warehouse.listed(StockFilter.ALL) == [AXE, SAW]
    assert (await warehouse.listed(StockFilter.LOW), await warehouse.events()) == ([], [])
    await receive(warehouse, *(product_changed(product, deleted=False) for product in (SAW, AXE)))
    await handled(warehouse, broker)
    await warehouse.change_products()
    assert await warehouse.listed(StockFilter.TO_REORDER) == [SAW]
    assert await warehouse.events() == ["StockLow"]
    await receive(warehouse, product_changed(SAW, deleted=True))
    await handled(warehouse, broker)
    await warehouse.change_products()
    for stock_filter in (StockFilter.LOW, StockFilter.TO_REORDER):
        assert await warehouse.listed(stock_filter) == []


async def test_the_last_of_several_changes_counts(warehouse: Warehouse, broker: Broker) -> None:
    """Also if none was seen before the next, or one is seen while the next arrives."""
    await warehouse.fill(saw=9)
    await warehouse.reorder_at(SAW, 10)
    for deleted in (True, False):
        await receive(warehouse, product_changed(SAW, deleted=True), product_changed(SAW, deleted=deleted))
        assert {state for state, _ in await handled(warehouse, broker)} == {"done"}
        await warehouse.change_products()
        assert await warehouse.listed(StockFilter.LOW) == ([] if deleted else [SAW])
    await _note(warehouse, deleted=True)
    async with warehouse.database.transaction() as applying:
        await product_changes.apply_one(applying, NOW)
        undeleting = asyncio.create_task(_note(warehouse, deleted=False))
        await asyncio.sleep(0.1)
    await undeleting
    await warehouse.change_products()
    assert await warehouse.listed(StockFilter.LOW) == [SAW]


async def _note(warehouse: Warehouse, *, deleted: bool) -> None:
    async with warehouse.database.transaction() as tx:
        await product_change_storage.note(tx, SAW, deleted=deleted)


async def test_a_product_changes_while_it_is_deleted(warehouse: Warehouse, broker: Broker) -> None:
    """Whichever comes first, a deleted product does not run low, and no unit is lost."""
    names = [f"p{number}" for number in range(20)]
    products = [f"products/{name}" for name in names]
    await receive(warehouse, *(product_changed(product, deleted=True) for product in products))
    await asyncio.gather(
        handled(warehouse, broker, replicas=2),
        *(warehouse.fill(**{name: 9}) for name in names),
        *(warehouse.reorder_at(product, 10) for product in products),
        *(warehouse.change_products() for _ in range(2)),
    )
    await warehouse.change_products()
    assert await warehouse.listed(StockFilter.ALL) == sorted(products)
    assert await warehouse.listed(StockFilter.LOW) == []
    assert {await warehouse.stock(product) for product in products} == {(9, 0)}
