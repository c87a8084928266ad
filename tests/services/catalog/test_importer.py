"""ImportProducts over a real channel, with a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from googleapis.google.api.httpbody_pb import HttpBody
from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import ImportProductsRequest, ImportProductsResponse

from mesh.background import stop
from mesh.database import Database
from mesh.errors import PermissionDenied, ResourceExhausted, Unauthenticated
from services.catalog import category_storage, importer
from services.catalog.domain.category import CATEGORIES_MAX, Category
from services.catalog.handlers import CatalogHandlers
from services.catalog.importer import (
    IMPORTS_MAX,
    IMPORTS_OF_CALLER_MAX,
    LINES_PER_TRANSACTION,
    REJECTED_LINES_MAX,
)
from services.catalog.line_splitter import LINE_BYTES_MAX
from services.catalog.product_cache import ProductCache
from tests.issuer import Issuer
from tests.lock_waits import lock_waits
from tests.services.calls import acting_with, channel_to, serving
from tests.services.catalog.products import NOW
from tests.services.catalog.store import Store, money


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    """Starts a catalog service without products."""
    issuer = Issuer()
    async with (
        serving(issuer, CatalogHandlers(database, ProductCache(database))) as port,
        channel_to(port, "catalog") as channel,
    ):
        yield Store(CatalogServiceClient(channel), database, issuer)


def line(title: str = "Saw", units: int = 24, **fields: Any) -> str:
    """Returns a line of a file."""
    price = {"currencyCode": "EUR", "units": str(units)}
    return json.dumps({"title": title, "category": "garden-tools", "price": price} | fields)


async def pieces(text: str, request_id: str = "") -> AsyncIterator[ImportProductsRequest]:
    """Yields the pieces of a file."""
    data = text.encode()
    yield ImportProductsRequest(request_id=request_id)
    for start in range(0, len(data), 50_000):
        yield ImportProductsRequest(lines=HttpBody(data=data[start : start + 50_000]))


async def imported(store: Store, *lines: str, request_id: str = "") -> ImportProductsResponse:
    """Imports lines as staff."""
    with store.as_staff():
        return await store.catalog.import_products(pieces("\n".join(lines), request_id))


def counts(response: ImportProductsResponse) -> tuple[int, int, int, int]:
    """Returns the numbers of created, updated, unchanged and rejected lines."""
    return response.created_count, response.updated_count, response.unchanged_count, response.rejected_count


async def test_good_lines_are_kept_and_bad_ones_reported(store: Store) -> None:
    """Each bad line is reported with its number, its reason and all its fields; the good ones are products with
    events.
    """
    response = await imported(
        store,
        line("Saw"),
        "{",
        "",
        line("", category="Garden Tools"),
        line(price=None),
        line("x" * LINE_BYTES_MAX),
        line(name="products/7"),
        line(colour="red"),
        line("Rake"),
    )
    assert counts(response) == (2, 0, 0, 6)
    assert [(each.line, each.reason) for each in response.rejected_lines] == [
        (2, "MALFORMED_JSON"),
        (4, "INVALID_FIELD"),
        (5, "INVALID_FIELD"),
        (6, "MESSAGE_TOO_LARGE"),
        (7, "INVALID_FIELD"),
        (8, "MALFORMED_JSON"),
    ]
    assert response.rejected_lines[2].description == "price is required"
    assert {product.title for product in await store.listed()} == {"Saw", "Rake"}
    assert {product.title for product in await store.events()} == {"Saw", "Rake"}


@pytest.mark.parametrize(
    ("twice", "named"),
    [
        ('{"title": "Rake", "title": "Saw", ', "title"),
        ('{"title": null, "title": "Saw", ', "title"),
        ('{"additional_categories": [], "additionalCategories": [], "title": "Saw", ', "additionalCategories"),
        ('{"price": {"units": "1", "currencyCode": "EUR", "units": "2"}, "title": "Saw", ', "units"),
        ('{"price": {"currency_code": "USD", "currencyCode": "EUR"}, "title": "Saw", ', "currencyCode"),
        ('{"\\u0074itle": "Rake", "title": "Saw", ', "title"),
    ],
)
async def test_a_value_given_twice_is_refused(store: Store, twice: str, named: str) -> None:
    """A line with a field that occurs twice, in whichever spelling, is rejected with its name as repeated."""
    rest = '"category": "garden-tools"'
    if '"price"' not in twice:
        rest += ', "price": {"currencyCode": "EUR", "units": "24"}'
    response = await imported(store, f"{twice}{rest}}}", line("Rake"))
    assert counts(response) == (1, 0, 0, 1)
    assert response.rejected_lines[0].reason == "MALFORMED_JSON"
    assert response.rejected_lines[0].description == (
        f'The line is not a product in JSON: "{named}" is given more than once'
    )


async def test_rejected_lines_keep_their_order(store: Store) -> None:
    """A line that the catalog rejects is reported between those that can't be read."""
    deleted = await store.delete((await store.create()).name)
    response = await imported(store, "{", line(name=deleted.name), "{")
    assert [(each.line, each.reason) for each in response.rejected_lines] == [
        (1, "MALFORMED_JSON"),
        (2, "PRODUCT_DELETED"),
        (3, "MALFORMED_JSON"),
    ]


async def test_an_import_by_names_can_be_repeated(store: Store) -> None:
    """Lines create their products once; a repetition changes only what differs, and publishes only that."""
    saw, rake = (f"products/{uuid4()}" for _ in range(2))
    assert counts(await imported(store, line(name=saw), line("Rake", name=rake))) == (2, 0, 0, 0)
    assert counts(await imported(store, line(name=saw), line("Rake", 9, name=rake))) == (0, 1, 1, 0)
    assert (await store.get(saw)).etag == "1"
    assert (await store.get(rake)).price == money(900)
    assert [product.name for product in await store.events()] == [*sorted((saw, rake)), rake]


async def test_an_import_by_request_id_can_be_repeated(store: Store) -> None:
    """With the same request_id, lines without names are the same products; a corrected line is added."""
    request_id = str(uuid4())
    assert counts(await imported(store, line("Saw"), "{", request_id=request_id)) == (1, 0, 0, 1)
    assert counts(await imported(store, line("Saw"), line("Rake"), request_id=request_id.upper())) == (1, 0, 1, 0)
    assert counts(await imported(store, line("Saw"), request_id=str(uuid4()))) == (1, 0, 0, 0)
    assert sorted(product.title for product in await store.listed()) == ["Rake", "Saw", "Saw"]


async def test_the_last_line_of_a_product_wins(store: Store) -> None:
    """Lines of one product are applied in their order; one event has the result."""
    name = f"products/{uuid4()}"
    assert counts(await imported(store, line("First", name=name), line("Last", name=name))) == (1, 1, 0, 0)
    assert [product.title for product in await store.events()] == ["Last"]
    assert (await store.get(name)).title == "Last"


async def fill_tree(store: Store, room: int) -> None:
    """Inserts so many categories, "garden-tools" among them, that there is room for `room` more."""
    created = [Category.implied(f"c{number}", NOW) for number in range(CATEGORIES_MAX - room - 1)]
    async with store.database.transaction() as tx:
        await category_storage.insert_all(tx, [Category.implied("garden-tools", NOW), *created])


async def test_lines_whose_category_does_not_fit_are_refused(store: Store) -> None:
    """In a tree that is almost full, the first new category is created, for all of its lines; lines with others are
    rejected, and the rest is imported.
    """
    await fill_tree(store, room=1)
    lines = [line(), line("Hut", category="huts"), line("Shed", category="sheds"), line("Den", category="huts"), line()]
    for expected in ((4, 0, 0, 1), (0, 0, 4, 1)):
        response = await imported(store, *lines, request_id="0e2c3fb1-9f3f-4b5d-8a52-1f5d6b1b7a10")
        assert counts(response) == expected
        assert [(each.line, each.reason) for each in response.rejected_lines] == [(3, "CATEGORIES_TOO_MANY")]
    assert [each.title for each in await store.listed(category="huts", order_by="title")] == ["Den", "Hut"]


async def test_rejected_lines_take_no_room_in_the_tree(store: Store) -> None:
    """Neither a line of a deleted product nor one with an unknown category creates its main category."""
    await fill_tree(store, room=1)
    deleted = await store.delete((await store.create()).name)
    response = await imported(
        store,
        line(name=deleted.name, category="dens"),
        line(category="huts", additionalCategories=["nowhere"]),
        line("Shed", category="sheds"),
    )
    assert [(each.line, each.reason) for each in response.rejected_lines] == [
        (1, "PRODUCT_DELETED"),
        (2, "INVALID_FIELD"),
    ]
    assert [each.title for each in await store.listed(category="sheds")] == ["Shed"]


async def test_a_line_may_name_the_new_category_of_another(store: Store) -> None:
    """A category exists if a line creates it, also if a later line moves that line's product to another category."""
    shed = f"products/{uuid4()}"
    response = await imported(
        store,
        line("Lamp", additionalCategories=["sheds"]),
        line("Shed", name=shed, category="sheds"),
        line("Hut", name=shed, category="huts"),
    )
    assert counts(response) == (2, 1, 0, 0)
    assert [each.title for each in await store.listed(category="sheds")] == ["Lamp"]


async def test_a_category_of_rejected_lines_does_not_exist(store: Store) -> None:
    """A line that names it is rejected, too; the others are imported."""
    deleted = await store.delete((await store.create()).name)
    lamp = line("Lamp", additionalCategories=["dens"])
    response = await imported(store, line(name=deleted.name, category="dens"), lamp, line())
    assert counts(response) == (1, 0, 0, 2)
    assert [(each.line, each.description) for each in response.rejected_lines] == [
        (1, "The product is deleted. Undelete it before you change it."),
        (2, "additional_categories[0] does not exist"),
    ]


async def test_a_broken_import_keeps_its_groups(store: Store) -> None:
    """When the client is cut off, whole groups are stored with their events, and a repetition completes the file."""
    lines, request_id = [line(f"Saw {n}") for n in range(1100)], str(uuid4())

    async def broken() -> AsyncIterator[ImportProductsRequest]:
        async for piece in pieces("\n".join(lines), request_id):
            yield piece
        while len(await store.events()) < 1000:
            await asyncio.sleep(0.01)
        raise ConnectionError("cut off")

    with store.as_staff(), pytest.raises(ConnectionError):
        await store.catalog.import_products(broken())
    assert len(await store.listed(page_size=200)) == len(await store.events()) == 1000
    assert counts(await imported(store, *lines, request_id=request_id)) == (100, 0, 1000, 0)


async def test_reported_lines_are_limited(store: Store) -> None:
    """Of many bad lines the first are reported, and all are counted."""
    response = await imported(store, *["{"] * (REJECTED_LINES_MAX + 200), line())
    assert counts(response) == (1, 0, 0, REJECTED_LINES_MAX + 200)
    assert [each.line for each in response.rejected_lines] == list(range(1, REJECTED_LINES_MAX + 1))


async def test_concurrent_imports_are_limited(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more import than allowed waits, and is rejected at last; those that end make room."""
    monkeypatch.setattr(importer, "PLACE_WAIT_S", 0.2)
    async with store.database.transaction() as tx:
        await tx.execute("LOCK TABLE products IN SHARE MODE")  # so that they write for as long as the test wants
        with store.as_staff():
            running = [
                asyncio.create_task(imported(store, *[line()] * LINES_PER_TRANSACTION)) for _ in range(IMPORTS_MAX)
            ]
            while await lock_waits(store.database) < IMPORTS_MAX:
                await asyncio.sleep(0.01)
            with pytest.raises(ResourceExhausted):
                await imported(store, line())
    assert [counts(each) for each in await asyncio.gather(*running)] == [(500, 0, 0, 0)] * IMPORTS_MAX
    assert counts(await imported(store, line())) == (1, 0, 0, 0)


async def test_imports_without_work_keep_no_place(store: Store) -> None:
    """However many wait for their client to go on, with some lines sent, another one is imported. They go on later."""
    go_on = asyncio.Event()

    async def waiting() -> AsyncIterator[ImportProductsRequest]:
        async for piece in pieces(f"{line()}\n{line('Rake')}\n"):
            yield piece
        await go_on.wait()
        yield ImportProductsRequest(lines=HttpBody(data=line("Hoe").encode()))

    with store.as_staff():
        running = [asyncio.create_task(store.catalog.import_products(waiting())) for _ in range(IMPORTS_MAX + 1)]
        while len(await store.events()) < 2 * len(running):
            await asyncio.sleep(0.01)
        assert counts(await imported(store, line())) == (1, 0, 0, 0)
        go_on.set()
        assert [counts(each) for each in await asyncio.gather(*running)] == [(3, 0, 0, 0)] * len(running)


@pytest.mark.parametrize("piece", [b" ", b"\n"])
async def test_an_import_whose_next_line_does_not_end_keeps_no_place(
    store: Store, piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that send one line, and then a byte whenever their stream would count as pausing, do not keep others out:
    their lines are written all the same.
    """
    monkeypatch.setattr(importer, "GROUP_AGE_S", 0.1)

    async def dripping() -> AsyncIterator[ImportProductsRequest]:
        async for each in pieces(f"{line()}\n"):
            yield each
        while True:
            await asyncio.sleep(importer.PAUSE_S / 20)
            yield ImportProductsRequest(lines=HttpBody(data=piece))

    with store.as_staff():
        running = [asyncio.create_task(store.catalog.import_products(dripping())) for _ in range(IMPORTS_MAX)]
        await asyncio.sleep(importer.PAUSE_S)
        assert counts(await imported(store, line())) == (1, 0, 0, 0)
        while len(await store.events()) < IMPORTS_MAX + 1:
            await asyncio.sleep(0.01)
        await stop(running)


async def test_the_imports_of_a_caller_are_limited(store: Store) -> None:
    """Nobody has more than some imports in progress, whether they have work or not."""

    async def silent() -> AsyncIterator[ImportProductsRequest]:
        async for piece in pieces(f"{line()}\n"):
            yield piece
        await asyncio.Event().wait()

    with store.as_staff():
        running = [asyncio.create_task(store.catalog.import_products(silent())) for _ in range(IMPORTS_OF_CALLER_MAX)]
        while len(await store.events()) < IMPORTS_OF_CALLER_MAX:
            await asyncio.sleep(0.01)
        with pytest.raises(ResourceExhausted, match="in progress"):
            await imported(store, line())
        await stop(running)


async def test_an_import_that_sends_nothing_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes room for another one. What it has sent before is imported."""
    monkeypatch.setattr(importer, "SILENCE_S", 0.2)

    async def silent() -> AsyncIterator[ImportProductsRequest]:
        async for piece in pieces("\n".join([line()] * (LINES_PER_TRANSACTION + 1))):
            yield piece
        await asyncio.Event().wait()

    with store.as_staff():
        running = [store.catalog.import_products(silent()) for _ in range(IMPORTS_MAX)]
        ended = await asyncio.gather(*running, return_exceptions=True)
    assert [getattr(each, "reason", None) for each in ended] == ["STREAM_SILENT"] * IMPORTS_MAX
    assert counts(await imported(store, line())) == (1, 0, 0, 0)


async def test_only_staff_imports(store: Store) -> None:
    """Customers and anonymous callers can't import products."""
    with pytest.raises(Unauthenticated):
        await store.catalog.import_products(pieces(line()))
    with acting_with(store.issuer.token("users/ada", "orders.write")), pytest.raises(PermissionDenied):
        await store.catalog.import_products(pieces(line()))
    assert await store.listed() == []


async def test_a_file_without_lines_imports_nothing(store: Store) -> None:
    """An empty file is an import of no lines."""
    assert counts(await imported(store)) == (0, 0, 0, 0)
