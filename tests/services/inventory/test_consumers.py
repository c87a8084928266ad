"""The consumers of events, by the inbox of a real PostgreSQL; the broker has nothing to deliver."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced
from meshwright.orders.v1.orders_pb import Order, OrderLine

from mesh.events import Broker, inbox_table
from mesh.events.envelope import Envelope
from mesh.pagination import read_page
from services.inventory import storage
from services.inventory.consumers import Consumers
from services.inventory.storage import Adjustment
from tests.services.inventory.warehouse import NOW, SAW, VALID, Warehouse

Data = OrderPlaced | OrderConfirmed | OrderCancelled | UserDeleted


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
