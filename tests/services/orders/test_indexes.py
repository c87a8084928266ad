"""Indexes for each list and look-up of orders."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from services.orders import change_storage, erasure_storage, storage
from services.orders.domain import Limits, PendingStep
from tests.services.indexes import Read, assert_uses_indexes, filled_database, next_page, page

FILL = {
    "orders": """
        INSERT INTO orders (uid, customer, state, create_time, update_time, version)
        SELECT gen_random_uuid(), 'users/' || n % 500,
            CASE n % 1000 WHEN 7 THEN 'confirmed' WHEN 507 THEN 'cancelled' ELSE 'pending' END,
            now() + n * interval '1 s', now(), 1
        FROM generate_series(1, $1::int) AS n;
    """,
    "order_lines": """
        INSERT INTO order_lines (order_uid, position, product, title, quantity, currency, unit_price_hundredths)
        SELECT uid, position, 'products/1', 'Saw', 1, 'EUR', 100 FROM orders, generate_series(0, 2) AS position
        WHERE $1::int > 0
    """,
    "shipment_events": """
        INSERT INTO shipment_events (order_uid, position, kind, description, event_time)
        SELECT uid, position, 'in_transit', '', now() FROM orders, generate_series(1, 2) AS position WHERE $1::int > 0
    """,
    "order_changes": """
        INSERT INTO order_changes (order_uid, version, change_time, actor, state, pending_step, reason)
        SELECT uid, number, now(),
            CASE number WHEN 3 THEN 'users/staff-' || get_byte(uuid_send(uid), 0) ELSE customer END,
            'pending', 'stock', ''
        FROM orders, generate_series(1, 3) AS number WHERE $1::int > 0
    """,
    "erased_customers": """
        INSERT INTO erased_customers SELECT 'users/erased-' || n, now() + (n - 100) * interval '1 s' - interval '1 day'
        FROM generate_series(1, $1::int) AS n
    """,
}
LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)


async def deep_orders(tx: Connection, customer: str | None) -> None:
    """Reads two pages."""
    _, token = await storage.list_orders(tx, customer, page(*storage.KEY_TYPES, size=20))
    await storage.list_orders(tx, customer, next_page(storage.KEY_TYPES, token))


async def deep_stuck_orders(tx: Connection) -> None:
    """Reads two pages."""
    limits, now = Limits(*[timedelta()] * 3), datetime.now(UTC) + timedelta(hours=1)
    _, token = await storage.list_stuck(tx, limits, now, page(*storage.STUCK_KEY_TYPES, size=20))
    await storage.list_stuck(tx, limits, now, next_page(storage.STUCK_KEY_TYPES, token))


READS: dict[str, Read] = {
    "list_orders of a customer": lambda tx: deep_orders(tx, "users/7"),
    "list_orders": lambda tx: deep_orders(tx, None),
    "find": lambda tx: storage.find(tx, uuid4()),
    "list_stuck": deep_stuck_orders,
    "take_overdue": lambda tx: storage.take_overdue(tx, PendingStep.STOCK, LONG_AGO),
    "is_erased": lambda tx: erasure_storage.ERASED_CUSTOMERS.contains(tx, "users/7"),
    "remember": lambda tx: erasure_storage.ERASED_CUSTOMERS.add(tx, "users/7"),
    "lock_unsold": lambda tx: erasure_storage.lock_unsold(tx, "users/7"),
    "anonymise": lambda tx: erasure_storage.anonymise(tx, "users/7"),
    "mark_sold": lambda tx: erasure_storage.mark_sold(tx, "users/7"),
    "forget_staff": lambda tx: erasure_storage.forget_staff(tx, "users/staff-7"),
    "list_changes": lambda tx: change_storage.list_changes(tx, uuid4(), page(int)),
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many orders."""
    async with filled_database(postgres, "orders", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million orders, every read uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
