"""The cost of public reads, by the rows that a real PostgreSQL reads of many products."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from mesh.errors import InvalidArgument
from mesh.migrations import MESH_FOLDER, migrate
from mesh.pagination import read_page
from mesh.settings import DatabaseSettings
from services.catalog import storage
from services.catalog.listing import Listing
from services.catalog.storage import FOUND_MAX, RANKED_MAX
from tests.services.catalog.products import listed_pages

PRODUCTS = 30_000
DEPTH = 20


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """Opens a catalog with many products, which tests only read: one in ten thousand is a zebra, one in fifty is
    deleted, all are of the same day.
    """
    name = "many_products"
    await postgres.create_databases(name)
    url = postgres.url(name)
    migrate(url, [MESH_FOLDER, Path("services", "catalog", "migrations")])
    connection = await asyncpg.connect(url)  # without the limits of a call: a busy machine needs its time
    try:
        await connection.execute(f"""
            INSERT INTO products (
                uid, title, description, category, currency, price_hundredths, create_time, update_time, delete_time,
                version
            ) SELECT gen_random_uuid(), CASE WHEN n % 10000 = 0 THEN 'Zebra' ELSE 'Great product' END || ' ' || n,
                'A fine thing for the garden.', 'c' || n % 3, 'EUR', n % 7,
                '2026-01-01T00:00:00Z', timestamptz '2026-01-01T00:00:00Z' + n * interval '1 s',
                CASE WHEN n % 50 = 1 THEN now() END, 1
            FROM generate_series(1, {PRODUCTS}) AS n
        """)
        await connection.execute("ANALYZE products")
    finally:
        await connection.close()
    async with Database.open(DatabaseSettings(database_url=url), "catalog") as database:
        yield database


async def rows_read(tx: Connection) -> int:
    """Returns the rows that this session has read, plus or minus a constant."""
    query = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'products'"
    count: int = await tx.fetchval(query)
    return count


async def list_once(database: Database, listing: Listing, token: str = "", size: int = 50) -> tuple[int, int, str]:
    """Reads one page; returns the rows that were read, the number of products, and the next page's token."""
    page = read_page(size, token, query=listing.query, key_types=storage.key_types(listing))
    async with database.transaction() as tx:
        before = await rows_read(tx)
        products, next_page_token = await storage.list_products(tx, listing, page)
        return await rows_read(tx) - before, len(products), next_page_token


CHEAP = [
    ("", ""),
    ("", "title"),
    ("", "price desc"),
    ("", "category, price"),
    ("", "category desc, create_time desc"),
    ("category = c1", "price"),
    ("category = c1", "update_time desc"),
    ("category = c1 AND price >= 0.03", "price"),
    ("price = 0.03", "price desc"),
    ("title : zebra", "price"),
    ('title : "zebra 20"', ""),
    ("title = 'Zebra 20000'", "update_time"),
    ("title : zebra OR title : unicorn", "title desc"),
    ("price > 0.001 AND (title : ZEBRA OR update_time = 2026-01-01T00:00:10Z)", ""),
    ("title : product", ""),
    ('update_time > "2026-01-01T08:00:00Z"', "update_time"),
    ('update_time < "2026-01-01T00:01:00Z"', "update_time desc"),
]


@pytest.mark.parametrize("with_deleted", [False, True])
async def test_a_list_with_an_index_reads_few_rows(filled: Database, *, with_deleted: bool) -> None:
    """In each order, deep in the list, few more rows are read than returned, even with thousands of ties."""
    for text, order_by in CHEAP:
        listing = Listing.read(text, order_by, show_deleted=with_deleted)
        token = ""
        for _ in range(DEPTH):
            read, given, token = await list_once(filled, listing, token)
            assert read < 250, (text, order_by)
            if not token:
                break
        assert given, (text, order_by)


DEAR = [
    ("title : zz", "price"),
    ("title : z1 OR title : z2", "title"),
    ("NOT title : t AND NOT title : b", ""),
    ("price.currency_code = USD", "update_time"),
    ("price.currency_code != EUR AND category : nothing", "category, price"),
    ("category : nothing", "title desc"),
    ("price < 0", "title"),
    ("category = c2 AND category : 3 AND price.currency_code = X", "update_time"),
    (" OR ".join(f"title : q{n}" for n in range(10)), "update_time desc"),
    (" AND ".join(f"(NOT title : b{n} OR price > {n})" for n in range(8)) + " AND price.currency_code = X", ""),
    (" AND ".join(["title : product"] * 9) + " AND price < 0", "create_time"),
]


async def test_a_list_without_an_index_examines_a_limited_number_of_rows(filled: Database) -> None:
    """A page may be empty and have a next one; the more a comparison costs, the fewer products are examined."""
    for text, order_by in DEAR:
        listing = Listing.read(text, order_by, show_deleted=False)
        assert listing.rows_examined_max < PRODUCTS
        read, given, token = await list_once(filled, listing)
        assert given == 0
        assert token, text
        assert read <= listing.rows_examined_max + FOUND_MAX, text


async def test_the_pages_of_an_expensive_filter_are_the_whole_list(filled: Database) -> None:
    """All pages together have everything that matches, although most pages are empty."""
    listing = Listing.read("title : ra AND title : ze", "price", show_deleted=False)
    pages = await listed_pages(filled, listing)
    assert len(pages) > 2
    assert sorted(each.details.title for page in pages for each in page) == [
        "Zebra 10000",
        "Zebra 20000",
        "Zebra 30000",
    ]


async def test_a_search_ranks_a_limited_number_of_products(filled: Database) -> None:
    """A word in every product finds as many as are ranked; a rare word finds all."""
    for words, expected in (
        ("garden", RANKED_MAX),
        ("zebra", 3),
        ("fine garden -zebra", RANKED_MAX),
        ("product", RANKED_MAX),
    ):
        given, token = 0, ""
        while True:
            page = read_page(400, token, query=(words,), key_types=storage.SEARCH_KEY_TYPES)
            async with filled.transaction() as tx:
                before = await rows_read(tx)
                products, token = await storage.search(tx, words, page)
                assert await rows_read(tx) - before <= RANKED_MAX
            given += len(products)
            if not token:
                break
        assert given == expected, words


@pytest.mark.parametrize(("words", "expected"), [("zebra or garden", RANKED_MAX), ("product -garden", 0)])
async def test_a_search_by_titles_and_by_all_texts_reads_twice_as_many_at_most(
    filled: Database, words: str, expected: int
) -> None:
    """So many are read if few titles match, or if other texts exclude the products whose titles match."""
    page = read_page(2000, "", query=(words,), key_types=storage.SEARCH_KEY_TYPES, size_max=2000)
    async with filled.transaction() as tx:
        before = await rows_read(tx)
        products, _ = await storage.search(tx, words, page)
        assert await rows_read(tx) - before <= 2 * RANKED_MAX
    assert len(products) == expected


@pytest.mark.parametrize("words", ["-zebra", "saw or -zebra", " ".join(f"word{n}" for n in range(40))])
async def test_a_search_that_costs_too_much_is_refused(filled: Database, words: str) -> None:
    """A search only for products without a word, or for dozens of words, is rejected with advice."""
    page = read_page(10, "", query=(words,), key_types=storage.SEARCH_KEY_TYPES)
    with pytest.raises(InvalidArgument) as caught:
        async with filled.transaction() as tx:
            await storage.search(tx, words, page)
    assert [violation.field for violation in caught.value.violations] == ["query"]
