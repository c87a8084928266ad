"""Indexes for each list and look-up of inventory."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from services.inventory import erasure_storage, product_change_storage, storage
from tests.services.indexes import ROWS, Read, assert_uses_indexes, filled_database, next_page, page

FILL = {
    "stock": """
        INSERT INTO stock (product, on_hand, reserved, reorder_level, reorder_quantity, update_time, version, low,
            low_change)
        SELECT 'products/' || n, 5, 0, CASE WHEN n % 100 = 0 THEN 9 ELSE 0 END, n % 2, now(), 1, n % 100 = 0, n
        FROM generate_series(1, $1::int) AS n
    """,
    "adjustments": """
        INSERT INTO adjustments (product, delta, reason, note, actor, create_time)
        SELECT product, 5, 'RECEIVED', '', 'users/' || length(product), now()
        FROM stock, generate_series(1, 2) WHERE $1::int > 0
    """,
    "reservations": """
        INSERT INTO reservations (order_name, state, expire_time)
        SELECT 'orders/' || n, CASE WHEN n % 10 = 0 THEN 'reserved' ELSE 'committed' END, now() + n * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
    "reserved_units": """
        INSERT INTO reserved_units (order_name, product, quantity)
        SELECT order_name, 'products/' || n, 1 FROM reservations, generate_series(1, 3) AS n WHERE $1::int > 0
    """,
    "product_changes": """
        INSERT INTO product_changes SELECT 'products/' || n, true FROM generate_series(1, $1::int) AS n
    """,
    "erased_users": """
        INSERT INTO erased_users SELECT 'users/erased-' || n, now() + (n - 100) * interval '1 s' - interval '1 day'
        FROM generate_series(1, $1::int) AS n
    """,
}


async def deep_stock(tx: Connection, stock_filter: storage.StockFilter) -> None:
    """Reads two pages."""
    _, token = await storage.list_stock(tx, page(str, size=20), stock_filter)
    await storage.list_stock(tx, next_page((str,), token), stock_filter)


async def deep_adjustments(tx: Connection) -> None:
    """Reads two pages."""
    _, token = await storage.list_adjustments(tx, "products/7", page(int, size=1))
    await storage.list_adjustments(tx, "products/7", next_page((int,), token))


READS: dict[str, Read] = {
    "list_stock": lambda tx: deep_stock(tx, storage.StockFilter.ALL),
    "list_stock low": lambda tx: deep_stock(tx, storage.StockFilter.LOW),
    "list_stock to reorder": lambda tx: deep_stock(tx, storage.StockFilter.TO_REORDER),
    "list_adjustments": deep_adjustments,
    "is_erased": lambda tx: erasure_storage.ERASED_USERS.contains(tx, "users/1"),
    "erase": lambda tx: erasure_storage.erase(tx, "users/1"),
    "note": lambda tx: product_change_storage.note(tx, "products/7", deleted=False),
    "take": product_change_storage.take,
    "find": lambda tx: storage.find(tx, "products/7"),
    "lock": lambda tx: storage.lock(tx, ["products/7", "products/8"]),
    "low_position": storage.low_position,
    "list_low_changes": lambda tx: storage.list_low_changes(tx, 0, ROWS),
    "list_low_changes at the end": lambda tx: storage.list_low_changes(tx, ROWS, ROWS),
    "find_reservation": lambda tx: storage.find_reservation(tx, "orders/7"),
    "take_expired": lambda tx: storage.take_expired(tx, datetime.now(UTC) + timedelta(hours=1)),
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with much stock."""
    async with filled_database(postgres, "inventory", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every read uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
