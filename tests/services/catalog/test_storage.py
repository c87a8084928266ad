"""The SQL of products on a real PostgreSQL."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

from mesh.database import Database
from mesh.money import Money
from mesh.pagination import read_page
from services.catalog import storage
from services.catalog.domain.product import Details, Product
from services.catalog.listing import Listing
from tests.services.catalog.products import NOW, insert, listed_pages, product, titles


async def find(database: Database, uid: UUID) -> Product | None:
    """Reads a product."""
    async with database.transaction() as tx:
        return await storage.find(tx, uid)


async def found_pages(database: Database, query: str, size: int = 1000) -> list[list[str]]:
    """Returns the titles on each page of a search."""
    pages, token = [], ""
    while True:
        page = read_page(size, token, query=(query,), key_types=storage.SEARCH_KEY_TYPES)
        async with database.transaction() as tx:
            products, token = await storage.search(tx, query, page)
        pages.append([product.details.title for product in products])
        if not token:
            return pages


async def test_a_product_is_read_as_it_was_written(database: Database) -> None:
    """Every field is read back, times to the microsecond; other products have other rows."""
    written = product("Säge 🪚", 999_999_999, description="Line one.\n\tLine 'two'; \\ 100 %", currency="USD")
    await insert(database, product(), written)
    assert await find(database, written.uid) == written
    assert await find(database, uuid4()) is None


async def test_an_update_writes_every_change(database: Database) -> None:
    """Details, times and version are updated; other products do not change."""
    written, other = product(), product()
    await insert(database, written, other)
    details = Details("Rake", "Rakes.", "rakes", Money("USD", 1))
    changed = written.update(details, "", NOW + timedelta(1)).delete("", NOW + timedelta(2))
    async with database.transaction() as tx:
        await storage.update(tx, changed)
    assert await find(database, written.uid) == changed
    assert await find(database, other.uid) == other


async def test_a_locked_product_is_changed_by_one_at_a_time(database: Database) -> None:
    """Twenty concurrent changes, each based on the version that it read under the lock, make twenty versions."""
    written = product()
    await insert(database, written)

    async def change(hundredths: int) -> None:
        async with database.transaction() as tx:
            current = await storage.find(tx, written.uid, lock=True)
            assert current is not None
            details = replace(current.details, price=Money("EUR", hundredths))
            await storage.update(tx, current.update(details, "", NOW))

    await asyncio.gather(*(change(hundredths) for hundredths in range(20)))
    changed = await find(database, written.uid)
    assert changed is not None
    assert changed.version == 21


async def test_a_batch_finds_those_that_exist(database: Database) -> None:
    """Deleted products are found too."""
    live, deleted, other = product(), product().delete("", NOW), product()
    await insert(database, live, deleted, other)
    async with database.transaction() as tx:
        found = await storage.find_all(tx, [live.uid, uuid4(), deleted.uid])
        assert await storage.find_all(tx, []) == []
    assert {each.uid: each for each in found} == {live.uid: live, deleted.uid: deleted}


async def test_deleted_products_are_listed_on_demand_only(database: Database) -> None:
    """Filters apply to them, too."""
    await insert(database, product("Saw"), product("Rake").delete("", NOW), product("Axe").delete("", NOW))
    assert await titles(database) == "Saw"
    assert await titles(database, show_deleted=True) == "Axe Rake Saw"
    assert await titles(database, "title = Saw OR title = Rake") == "Saw"
    assert await titles(database, "title = Saw OR title = Rake", show_deleted=True) == "Rake Saw"


async def test_pages_are_stable_under_changes(database: Database) -> None:
    """A row inserted or deleted before the cursor causes no row to be repeated or skipped."""
    products = [product(str(number)) for number in range(4)]
    await insert(database, *products)
    listing = Listing.read("", "title", show_deleted=False)
    first = read_page(2, "", query=listing.query, key_types=storage.key_types(listing))
    async with database.transaction() as tx:
        given, token = await storage.list_products(tx, listing, first)
    await insert(database, product("00"), product("000"))
    async with database.transaction() as tx:
        await storage.update(tx, products[1].delete("", NOW))
    second = read_page(2, token, query=listing.query, key_types=storage.key_types(listing))
    async with database.transaction() as tx:
        rest, token = await storage.list_products(tx, listing, second)
    assert [each.details.title for each in [*given, *rest]] == ["0", "1", "2", "3"]
    assert token == ""


def text_bytes(products: Sequence[Product]) -> int:
    """Returns the size of their texts in bytes."""
    return sum(len(f"{each.details.title}{each.details.description}".encode()) for each in products)


async def test_a_page_of_long_texts_fits_into_a_message(database: Database) -> None:
    """A page has fewer products than requested, and none is lost between pages."""
    long = [product(f"{number:03} {'🪚' * 196}", number, description="🪚" * 5000) for number in range(320)]
    await insert(database, *long)
    pages = await listed_pages(database, Listing.read("", "price", show_deleted=False))
    assert [each.details.price.hundredths for page in pages for each in page] == list(range(320))
    assert len(pages) == 3
    for page in pages[:-1]:
        assert text_bytes(page) <= storage.PAGE_TEXT_BYTES_MAX < text_bytes([*page, long[0]])


FOUND: dict[str, list[str]] = {
    "rake": ["Rake"],
    "RAKES": ["Rake"],
    "saw": ["Bow saw", "Gloves", "Jigsaw", "Saw blade oil"],
    "saw wood": ["Bow saw", "Gloves"],
    "saw -wood": ["Jigsaw", "Saw blade oil"],
    '"blade of a saw"': ["Saw blade oil"],
    '"wood saw"': [],
    "rake or oil": ["Rake", "Saw blade oil"],
    "clothing": ["Gloves"],
    "the": [],
    "!!! & | ( <-> :* '\\": [],
    "😀": [],
    "x" * 200: [],
    "": [],
}


async def test_a_search_finds_words(database: Database) -> None:
    """All forms of words, phrases and excluded words are supported; operators of the database are not."""
    await insert(
        database,
        product("Bow saw", description="For wood."),
        product("Saw blade oil", description="For the blade of a saw."),
        product("Gloves", description="When sawing wood.", category="clothing"),
        product("Rake", description="For leaves."),
        product("Jigsaw", category="saws"),
        product("Old saw").delete("", NOW),
    )
    assert {query: sorted((await found_pages(database, query))[0]) for query in FOUND} == FOUND


async def test_the_best_match_comes_first(database: Database) -> None:
    """A word weighs most in the title, less in the category, least in the description."""
    await insert(
        database,
        product("a", category="c", description="saw"),
        product("saw", category="c"),
        product("b", category="saw"),
    )
    assert await found_pages(database, "saw") == [["saw", "b", "a"]]


async def test_a_search_with_many_matches_has_those_by_title(database: Database) -> None:
    """If more products match than are ranked, those that match by their title are among them, and come first."""
    others = [product("Oil", description="For a saw.") for _ in range(storage.RANKED_MAX + 10)]
    await insert(database, *others, product("Bow saw"), product("Saw blade", description="For a saw."))
    [found] = await found_pages(database, "saw", 2000)
    assert len(found) == storage.RANKED_MAX
    assert found[:3] == ["Saw blade", "Bow saw", "Oil"]


async def test_a_search_with_many_excluded_titles_finds_the_rest(database: Database) -> None:
    """Products that match by their title but have an excluded word elsewhere take no place of others."""
    excluded = [product("Saw", description="With a blade.") for _ in range(storage.RANKED_MAX + 10)]
    await insert(database, *excluded, product("Oil", description="For a saw."))
    assert await found_pages(database, "saw -blade") == [["Oil"]]


async def test_pages_of_a_search_are_its_result_cut_into_pieces(database: Database) -> None:
    """With many equal ranks, the pages have each product once, in the order of the whole result."""
    words = ["saw", "saw saw", "saw of a saw", "blade", "blade saw"]
    await insert(database, *(product(f"{word} {number}") for number, word in enumerate(words * 6)))
    [whole] = await found_pages(database, "saw")
    assert len(set(whole)) == 24
    for size in (1, 5, 24):
        pages = await found_pages(database, "saw", size)
        assert [title for page in pages for title in page] == whole
        assert [len(page) for page in pages[:-1]] == [size] * (len(pages) - 1)
