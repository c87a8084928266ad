"""Indexes for each look-up, list and search of products. What a list reads is counted by test_cost.py."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from services.catalog import category_storage, price_storage, storage
from services.catalog.listing import Listing
from tests.services.indexes import Read, assert_uses_indexes, filled_database, next_page, page

FILL = {
    "categories": """
        INSERT INTO categories (id, title, parent, create_time, update_time, version)
        SELECT 'c' || n, 'Saws', 'c' || nullif(n / 10, 0), now(), now(), 1 FROM generate_series(1, $1::int) AS n
    """,
    "products": """
        INSERT INTO products (
            uid, title, description, category, additional_categories, currency, price_hundredths, create_time,
            update_time, delete_time, version, next_price_change
        ) SELECT gen_random_uuid(), CASE WHEN n % 5000 = 0 THEN 'Zebra' ELSE 'Great product' END || ' ' || n,
            'A fine thing for the garden.', 'c' || n % 3,
            CASE WHEN n % 5000 = 0 THEN '{gifts}'::text[] ELSE '{}' END, 'EUR', n % 7, now(),
            now() + n * interval '1 s', CASE WHEN n % 50 = 1 THEN now() END, 1,
            CASE WHEN n % 100 = 0 THEN now() + n * interval '1 s' END
        FROM generate_series(1, $1::int) AS n
    """,
    "prices": """
        INSERT INTO prices (
            uid, product_uid, currency, hundredths, start_time, end_time, create_time, update_time, version
        ) SELECT gen_random_uuid(), uid, 'EUR', 100, now() + interval '1 h', now() + interval '2 h', now(), now(), 1
        FROM products WHERE $1::int > 0
    """,
}
UIDS = [UUID(int=7), UUID(int=8)]
AFTER_A_PRICE = replace(page(*price_storage.KEY_TYPES), after=(datetime.now(UTC), UUID(int=7)))


async def deep_list(tx: Connection, filter_text: str, order_by: str) -> None:
    """Reads two pages."""
    listing = Listing.read(filter_text, order_by, show_deleted=False)
    key_types = tuple(storage.key_types(listing))
    _, token = await storage.list_products(tx, listing, page(*key_types, size=1))
    await storage.list_products(tx, listing, next_page(key_types, token))


async def deep_categories(tx: Connection, parent: str | None) -> None:
    """Reads two pages."""
    key_types = category_storage.KEY_TYPES
    _, token = await category_storage.list_categories(tx, parent, page(*key_types, size=5))
    await category_storage.list_categories(tx, parent, next_page(key_types, token))


async def list_within(tx: Connection, *categories: str) -> None:
    """Reads a page of the products of these categories."""
    listing = Listing.read("", "", show_deleted=False).within(categories)
    await storage.list_products(tx, listing, page(*storage.key_types(listing)))


async def deep_search(tx: Connection) -> None:
    """Reads two pages."""
    _, token = await storage.search(tx, "zebra", page(*storage.SEARCH_KEY_TYPES, size=1))
    await storage.search(tx, "zebra", next_page(storage.SEARCH_KEY_TYPES, token))


READS: dict[str, Read] = {
    "find": lambda tx: storage.find(tx, UUID(int=7), lock=True),
    "find_all": lambda tx: storage.find_all(tx, UIDS),
    "lock_all": lambda tx: storage.lock_all(tx, UIDS),
    "search": deep_search,
    "list_products of a rare category": lambda tx: list_within(tx, "gifts"),
    "list_products of large categories": lambda tx: list_within(tx, "c1", "c2"),
    "take_due": lambda tx: storage.take_due(tx, datetime.now(UTC), 100),
    "find a price": lambda tx: price_storage.find(tx, UIDS[0], UIDS[1]),
    "list_prices": lambda tx: price_storage.list_prices(tx, UIDS[0], page(*price_storage.KEY_TYPES)),
    "list_prices after some": lambda tx: price_storage.list_prices(tx, UIDS[0], AFTER_A_PRICE),
    "read_schedules": lambda tx: price_storage.read_schedules(tx, UIDS, datetime.now(UTC)),
    "purge": lambda tx: price_storage.purge(tx, datetime.now(UTC), 100),
    "list_categories": lambda tx: deep_categories(tx, None),
    "list_categories below one": lambda tx: deep_categories(tx, "c7"),
    "find a category": lambda tx: category_storage.find(tx, "c7"),
    "hold": lambda tx: category_storage.hold(tx, ["c7", "c8"]),
    "find_missing": lambda tx: category_storage.find_missing(tx, ["c7", "x"]),
    "ancestors": lambda tx: category_storage.ancestors(tx, ["c777", "c8"]),
    "subtree": lambda tx: category_storage.subtree(tx, "c77"),
    "lock_unused": lambda tx: category_storage.lock_unused(tx, "c7"),
    **{
        f"list_products {text} {order}": partial(deep_list, filter_text=text, order_by=order)
        for text, order in [
            ("", ""),
            ("", "title"),
            ("", "price desc"),
            ("", "category desc, create_time desc"),
            ("category = c1", "price"),
            ("category = c1", "update_time desc"),
            ("title : zebra", "price"),
            ("title : product", ""),
            ("price.currency_code != USD", "update_time"),
        ]
    },
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many products."""
    async with filled_database(postgres, "catalog", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every read uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
