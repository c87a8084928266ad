"""Conditions and orders, evaluated by a real PostgreSQL."""

import itertools
import random
from datetime import timedelta

from mesh.database import Database
from services.catalog.domain.product import Product
from services.catalog.listing import Listing
from services.catalog.order_by import FIELDS
from tests.services.catalog.products import NOW, insert, listed_pages, product, titles

FILTERED = {
    "": "Axe Hoe Rake Saw",
    "title = Saw": "Saw",
    "title != Saw": "Axe Hoe Rake",
    "title = saw": "",
    "title : A": "Axe Rake Saw",
    'title : ""': "Axe Hoe Rake Saw",
    "title : %": "",
    "title : _": "",
    "category : TOOLS": "Axe Rake Saw",
    "title >= Hoe AND title < Saw": "Hoe Rake",
    "price = 9.99": "Rake",
    "price = 9.990001": "",
    "price > 9.99": "Axe Saw",
    "price >= 9.989999 AND price <= 24.9": "Rake Saw",
    "price < 0": "",
    "price > -1": "Axe Hoe Rake Saw",
    "price = 0": "Hoe",
    "price < 999999999999.999999": "Axe Hoe Rake Saw",
    "price.currency_code = USD": "Axe",
    "price.currency_code != USD AND price > 0": "Rake Saw",
    "create_time = 2026-01-02T03:04:05.678901Z": "Saw",
    'create_time > "2026-01-02T04:04:05.678901+01:00"': "Axe Hoe Rake",
    "update_time < 2026-01-03T00:00:00Z OR title = Axe": "Axe Saw",
    "create_time > 0001-01-01T00:00:00Z AND create_time < 9999-12-31T23:59:59Z": "Axe Hoe Rake Saw",
    "title = Saw OR title = Axe AND price.currency_code = USD": "Axe",
    "(title = Axe AND price.currency_code = EUR) OR title = Saw": "Saw",
    "NOT (title = Saw OR title = Axe)": "Hoe Rake",
    "NOT title = Saw AND NOT title = Axe": "Hoe Rake",
    """title = "'; DROP TABLE products; --" """: "",
    "title = $1": "",
}


async def test_a_filter_selects_matching_products(database: Database) -> None:
    """Each comparator is tested on each kind of field, with all operators; SQL and patterns are plain text."""
    await insert(
        database,
        product("Saw", 2490),
        product("Rake", 999, at=NOW + timedelta(days=1)),
        product("Axe", 5000, currency="USD", at=NOW + timedelta(days=2)),
        product("Hoe", 0, category="gifts", at=NOW + timedelta(days=3)),
    )
    assert {text: await titles(database, text) for text in FILTERED} == FILTERED


ORDERED = {
    "": "d c b a",
    "create_time": "a b c d",
    "title desc": "d c b a",
    "price": "b d a c",
    "category, price": "d c b a",
    "category desc, price desc": "a b c d",
    "category desc, update_time desc": "b a d c",
}


async def test_a_list_has_the_order_asked_for(database: Database) -> None:
    """Lists are ascending or descending, by one or two fields, and the newest first by default."""
    await insert(
        database,
        product("a", 3, category="y", at=NOW),
        product("b", 1, category="y", at=NOW + timedelta(1)),
        product("c", 4, category="x", at=NOW + timedelta(2)),
        product("d", 2, category="x", at=NOW + timedelta(3)),
    )
    assert {order_by: await titles(database, order_by=order_by) for order_by in ORDERED} == ORDERED


def some_products(count: int) -> list[Product]:
    """Inserts products of which many are equal in each field, in random order."""
    drawn = random.Random(count)  # the same every time
    return [
        product(
            drawn.choice("abc"),
            drawn.randrange(3),
            category=drawn.choice("xyz"),
            at=NOW + timedelta(drawn.randrange(3)),
        )
        for _ in range(count)
    ]


ORDERS = [
    "",
    *(f"{field}{direction}" for field in FIELDS for direction in ("", " desc")),
    *(f"category{way}, {field}{way}" for field in FIELDS if field != "category" for way in ("", " desc")),
]
CUT = ["", "category = x", "category = x AND price > 0", "price >= 0.01 AND price < 0.02", "title = a OR price = 0.01"]


async def test_pages_are_the_list_cut_into_pieces(database: Database) -> None:
    """In each order, with ties in every field, the pages together are the whole list."""
    await insert(database, *some_products(40))
    for order_by, text in itertools.product(ORDERS, CUT):
        listing = Listing.read(text, order_by, show_deleted=False)
        [whole] = await listed_pages(database, listing)
        assert 0 < len({each.uid for each in whole}) == len(whole), text
        for size in (1, 7, 20, 40):
            pages = await listed_pages(database, listing, size)
            assert [each for page in pages for each in page] == whole, order_by
            assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
            assert 0 < len(pages[-1]) <= size
