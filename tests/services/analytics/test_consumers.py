"""Transactions of several events, as those of the inbox are."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

from googleapis.google.type.money_pb import Money
from meshwright.orders.v1.events_pb import OrderConfirmed, OrderPlaced
from meshwright.orders.v1.orders_pb import Order
from protobuf.wkt import Timestamp

from mesh.database import Database
from mesh.events import Event
from services.analytics.consumers import handlers

PAUSE_S = 0.1


async def handle(database: Database, *messages: OrderPlaced | OrderConfirmed) -> None:
    """Handles these events in one transaction, which takes its time."""
    async with database.transaction() as tx:
        for message in messages:
            name = message.desc().type_name
            event = Event(str(uuid4()), name, "orders", f"orders/{uuid4()}", datetime.now(UTC), message)
            await handlers()[type(message)](tx, event)
            await asyncio.sleep(PAUSE_S)


async def test_transactions_of_events_do_not_wait_for_each_other_in_a_circle(database: Database) -> None:
    """Two of them count the same things, each in another order, and neither is undone by a deadlock."""
    now = Timestamp.from_datetime(datetime.now(UTC))
    order = Order(name=f"orders/{uuid4()}", total=Money(currency_code="EUR", units=3), update_time=now)
    placed, confirmed = OrderPlaced(order=order), OrderConfirmed(order=order)
    await asyncio.gather(handle(database, placed, confirmed), handle(database, confirmed, placed))
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM sales") == 4
