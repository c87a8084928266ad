"""Transactions of several events, as those of the inbox are."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from googleapis.google.type.money_pb import Money
from meshwright.inventory.v1.events_pb import StockLow
from meshwright.orders.v1.events_pb import OrderConfirmed, OrderPlaced
from meshwright.orders.v1.orders_pb import Order
from protobuf.wkt import Timestamp

from mesh.database import Database
from mesh.events import Event, connect, inbox_table
from mesh.events.envelope import Envelope
from services.analytics.consumers import handlers, inbox
from services.analytics.metric_storage import lock_rollups

PAUSE_S = 0.1
EVENTS = 6


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Waits until a condition holds; fails after half a minute."""
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.02)


async def handle(database: Database, *messages: OrderPlaced | OrderConfirmed) -> None:
    """Handles these events in one transaction, which takes its time."""
    async with database.transaction() as tx:
        await lock_rollups(tx)
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


async def test_events_that_wait_for_an_ingestion_are_handled_together(
    database: Database, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of a transaction, within which the inbox begins its events, does not begin while an ingestion holds the
    roll-ups, here before that time is long enough for any event.
    """
    monkeypatch.setattr("mesh.events.inbox.BATCH_S", -1.0)
    kind, now = StockLow.desc().type_name, datetime.now(UTC)
    events = [Envelope(str(n), kind, "inventory", f"products/{n}/stock", now, b"", None) for n in range(EVENTS)]

    async def wait_for_rollups() -> bool:
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND objid = $1::regclass"
        async with database.autocommit() as connection:
            return bool(await connection.fetchval(query, "rollups"))

    async def are_logged() -> bool:
        async with database.autocommit() as connection:
            return bool(await connection.fetchval("SELECT count(*) FROM audit_entries") == EVENTS)

    async with connect(nats_url, "analytics") as broker, inbox(database, broker):
        async with database.transaction() as ingestion:
            await lock_rollups(ingestion)
            async with database.transaction() as tx:
                await inbox_table.store(tx, events)
            await until(wait_for_rollups)
            monkeypatch.setattr("mesh.events.inbox.BATCH_S", 3600.0)
        await until(are_logged)
    async with database.autocommit() as connection:
        assert await connection.fetchval("SELECT count(DISTINCT record_time) FROM audit_entries") == 1
