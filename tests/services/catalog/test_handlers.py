"""CatalogService over a real channel, with a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from googleapis.google.type.money_pb import Money
from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import (
    CreateProductRequest,
    DeleteProductRequest,
    ListProductsRequest,
    Product,
    SearchProductsRequest,
    UndeleteProductRequest,
    UpdateProductRequest,
)
from protobuf.wkt import Timestamp

from mesh.database import Database
from mesh.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from services.catalog.handlers import CatalogHandlers
from services.catalog.product_cache import ProductCache
from tests.issuer import Issuer
from tests.lock_waits import lock_waits
from tests.services.calls import acting_with, channel_to, serving
from tests.services.catalog.store import Store, money, wanted


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    """Starts a catalog service without products."""
    issuer = Issuer()
    async with (
        serving(issuer, CatalogHandlers(database, ProductCache(database))) as port,
        channel_to(port, "catalog") as channel,
    ):
        yield Store(CatalogServiceClient(channel), database, issuer)


def fields_of(caught: pytest.ExceptionInfo[InvalidArgument]) -> list[str]:
    """Returns the fields that an error names."""
    return [violation.field for violation in caught.value.violations]


async def test_a_product_is_created(store: Store) -> None:
    """The response has the fields that were sent and those that the catalog adds; everybody can read it, and an event
    is published.
    """
    created = await store.create(wanted("Säge 🪚", 999, description="Cuts.\nWell."))
    assert created.name == f"products/{UUID(created.uid)}"
    assert (created.title, created.description, created.category) == ("Säge 🪚", "Cuts.\nWell.", "garden-tools")
    assert created.price == Money(currency_code="EUR", units=9, nanos=990_000_000)
    assert created.create_time is not None
    assert (created.create_time, created.delete_time, created.etag) == (created.update_time, None, "1")
    assert await store.get(created.name) == created
    assert await store.events() == [created]


async def test_output_only_fields_are_ignored(store: Store) -> None:
    """AIP-203: name, uid, times and etag in the request have no effect."""
    long_ago = Timestamp.from_datetime(datetime.fromisoformat("1999-01-01T00:00:00Z"))
    wish = wanted(name="x", uid="x", create_time=long_ago, update_time=long_ago, delete_time=long_ago, etag="x")
    created = await store.create(wish)
    assert created.name == f"products/{UUID(created.uid)}"
    assert created.create_time != long_ago
    assert (created.create_time, created.delete_time, created.etag) == (created.update_time, None, "1")


@pytest.mark.parametrize(
    ("product", "fields"),
    [
        (Product(), ["title", "category", "price"]),
        (wanted(" "), ["title"]),
        (wanted("a\0", description="\0"), ["title", "description"]),
        (wanted("x" * 201, description="x" * 5001, category="Garden Tools"), ["title", "description", "category"]),
        (wanted(category="a\0"), ["category"]),
        (wanted(price=Money()), ["price"]),
        (wanted(price=Money(currency_code="eur", units=10_000_000, nanos=1)), ["price"] * 3),
        (wanted(price=Money(currency_code="EUR", units=-1, nanos=-10_000_000)), ["price"]),
        (wanted(price=Money(currency_code="EUR", units=2**63 - 1)), ["price"]),
    ],
)  # fmt: skip
async def test_an_invalid_product_is_not_created(store: Store, product: Product, fields: list[str]) -> None:
    """Every invalid field is named; nothing is stored or published."""
    with pytest.raises(InvalidArgument) as caught:
        await store.create(product)
    assert fields_of(caught) == [f"product.{field}" for field in fields]
    with store.as_staff():
        assert await store.listed(show_deleted=True) == []
    assert await store.events() == []


async def test_the_same_request_id_gets_the_same_product(store: Store) -> None:
    """Repeated and concurrent calls create one product and one event; another body with the id is rejected."""
    request_id = str(uuid4())
    first = await store.create(request_id=request_id)
    assert await asyncio.gather(*(store.create(request_id=request_id) for _ in range(4))) == [first] * 4
    with pytest.raises(InvalidArgument) as caught:
        await store.create(wanted("Rake"), request_id)
    assert (caught.value.reason, fields_of(caught)) == ("REQUEST_ID_REUSED", ["request_id"])
    assert (await store.create(request_id=request_id, subject="users/other")).name != first.name
    assert len(await store.events()) == 2


async def test_a_failed_call_does_not_use_its_request_id(store: Store) -> None:
    """After an error, the id can be used with a valid body."""
    request_id = str(uuid4())
    with pytest.raises(InvalidArgument):
        await store.create(wanted(""), request_id)
    assert (await store.create(wanted("Rake"), request_id)).title == "Rake"


@pytest.mark.parametrize(
    ("patch", "paths", "expected"),
    [
        ({"title": "Rake", "description": "new"}, ["title"], {"title": "Rake"}),
        ({"title": "Rake", "etag": "1"}, [], {"title": "Rake"}),
        ({"title": "Rake"}, ["title", "description"], {"title": "Rake", "description": ""}),
        ({"price": money(1, "USD")}, ["price"], {"price": money(1, "USD")}),
        ({"price": money(100, "USD")}, ["price.units"], {"price": Money(
            currency_code="EUR", units=1, nanos=900_000_000)}),
        ({"title": "Rake", "category": "rakes", "price": money(1)}, ["*"], {
            "title": "Rake", "category": "rakes", "price": money(1), "description": ""}),
        ({"uid": "x", "category": "rakes", "create_time": Timestamp()}, [], {"category": "rakes"}),
    ],
)  # fmt: skip
async def test_an_update_changes_what_the_mask_names(
    store: Store, patch: dict[str, Any], paths: list[str], expected: dict[str, Any]
) -> None:
    """Other fields stay; without a mask, the fields that are set change. An event is published."""
    created = await store.create(wanted(description="old"))
    updated = await store.update(Product(**{"name": created.name} | patch), *paths)
    assert updated.update_time is not None
    assert created.update_time is not None
    assert updated.update_time.to_datetime() > created.update_time.to_datetime()
    untouched = {name: getattr(created, name) for name in ("title", "description", "category", "price", "create_time")}
    given: dict[str, Any] = {"name": created.name, "uid": created.uid, "update_time": updated.update_time, "etag": "2"}
    assert updated == Product(**given | untouched | expected)
    assert await store.get(created.name) == updated
    assert await store.events() == [created, updated]


@pytest.mark.parametrize(
    ("patch", "paths", "fields"),
    [
        ({}, ["weight", "uid", "etag"], ["update_mask"] * 3),
        ({}, ["*", "title"], ["update_mask"]),
        ({}, ["\0"], ["update_mask"]),
        ({}, ["title", "category", "price"], ["product.title", "product.category", "product.price"]),
        ({}, ["price.currency_code"], ["product.price.currency_code"]),
        ({"title": "\0", "description": "\0"}, [], ["product.title", "product.description"]),
        ({"price": Money(units=1)}, [], ["product.price"]),
        ({"name": ""}, ["title"], ["product.name"]),
        ({"name": "orders/1"}, ["title"], ["product.name"]),
    ],
)
async def test_an_invalid_update_changes_nothing(
    store: Store, patch: dict[str, Any], paths: list[str], fields: list[str]
) -> None:
    """Every invalid path, and every field that can't be cleared, is named."""
    created = await store.create()
    with pytest.raises(InvalidArgument) as caught:
        await store.update(Product(**{"name": created.name} | patch), *paths)
    assert fields_of(caught) == fields
    assert await store.get(created.name) == created
    assert await store.events() == [created]


async def test_an_update_without_a_change_publishes_nothing(store: Store) -> None:
    """A repeated update returns the product unchanged."""
    created = await store.create()
    assert await store.update(created) == created
    assert await store.events() == [created]


async def test_of_concurrent_updates_under_one_etag_one_succeeds(store: Store) -> None:
    """Of three concurrent updates one succeeds, and the others get its etag in their errors."""
    created = await store.create()
    async with store.database.transaction() as tx:
        await tx.execute("SELECT FROM products FOR UPDATE")
        updates = [
            asyncio.create_task(store.update(Product(name=created.name, title=f"Saw {number}", etag="1")))
            for number in range(3)
        ]
        while await lock_waits(store.database) < len(updates):
            await asyncio.sleep(0.01)
    answers = await asyncio.gather(*updates, return_exceptions=True)
    [updated] = [answer for answer in answers if isinstance(answer, Product)]
    errors = [answer for answer in answers if isinstance(answer, Aborted)]
    assert [(error.reason, error.metadata) for error in errors] == [("ETAG_MISMATCH", {"etag": "2"})] * 2
    assert await store.events() == [created, updated]


async def test_a_deleted_product_can_be_read_by_staff_and_undeleted(store: Store) -> None:
    """Each change publishes an event; lists include the product only while it is not deleted, or on request."""
    created = await store.create()
    deleted = await store.delete(created.name, "1")
    assert deleted.delete_time is not None
    assert (deleted.delete_time, deleted.etag) == (deleted.update_time, "2")
    with store.as_staff():
        assert await store.get(created.name) == deleted
        assert await store.batch(created.name) == [deleted]
        assert (await store.listed(), await store.found("saw")) == ([], [])
        assert await store.listed(show_deleted=True) == [deleted]
    back = await store.undelete(created.name, "2")
    assert (back.delete_time, back.etag, back.create_time) == (None, "3", created.create_time)
    assert (await store.listed(), await store.found("saw")) == ([back], [back])
    assert await store.events() == [created, deleted, back]


@pytest.mark.parametrize(
    ("subject", "error"),
    [("", Unauthenticated), ("users/ada", InvalidArgument), ("workloads/orders", InvalidArgument)],
)
async def test_a_deleted_product_does_not_exist_for_others(store: Store, subject: str, error: type[MeshError]) -> None:
    """Callers who are not staff get NOT_FOUND, and can't list deleted products."""
    kept, deleted, never = await store.create(), await store.create(), f"products/{uuid4()}"
    await store.delete(deleted.name)
    with acting_with(store.issuer.token(subject, "profile orders.read orders.write") if subject else ""):
        for name in (deleted.name, never):
            with pytest.raises(NotFound) as got:
                await store.get(name)
            assert (got.value.message, got.value.reason) == ("The product does not exist.", "PRODUCT_NOT_FOUND")
            with pytest.raises(NotFound) as asked:
                await store.batch(kept.name, name)
            assert [violation.field for violation in asked.value.violations] == ["names[1]"]
        assert (await store.listed(), await store.found("saw")) == ([kept], [kept])
        with pytest.raises(error):
            await store.listed(show_deleted=True)


async def test_an_impossible_transition_changes_nothing(store: Store) -> None:
    """AIP-164, and stale etags of deletion and undeletion, are tested."""
    created = await store.create()
    with pytest.raises(AlreadyExists):
        await store.undelete(created.name)
    with pytest.raises(Aborted):
        await store.delete(created.name, "0")
    deleted = await store.delete(created.name)
    with pytest.raises(NotFound):
        await store.delete(created.name)
    with pytest.raises(FailedPrecondition):
        await store.update(Product(name=created.name, title="Rake"))
    with pytest.raises(Aborted):
        await store.undelete(created.name, "1")
    assert await store.events() == [created, deleted]


async def test_a_product_that_does_not_exist_is_not_found(store: Store) -> None:
    """Every method returns NOT_FOUND, for possible and impossible names."""
    for name in (f"products/{uuid4()}", "products/1", "products/\0", "products/" + "x" * 4000):
        for call in (
            store.get(name),
            store.update(Product(name=name, title="Rake")),
            store.delete(name),
            store.undelete(name),
            store.batch(name[:100]),
        ):
            with pytest.raises(NotFound) as caught:
                await call
            assert caught.value.reason == "PRODUCT_NOT_FOUND"
    with pytest.raises(InvalidArgument):
        await store.batch("products/" + "x" * 92)


async def test_a_batch_is_answered_in_its_order(store: Store) -> None:
    """Duplicates are returned twice; the token of the orders service makes no difference."""
    saw, rake = await store.create(wanted("Saw")), await store.create(wanted("Rake"))
    assert await store.batch(rake.name, saw.name, rake.name) == [rake, saw, rake]
    with acting_with(store.issuer.token("workloads/orders")):
        assert await store.batch(saw.name) == [saw]


async def test_a_batch_with_missing_products_names_them_all(store: Store) -> None:
    """No product is returned, and an error with a hundred names reaches the caller."""
    saw = await store.create()
    missing = [f"products/{uuid4()}" for _ in range(98)]
    with pytest.raises(NotFound) as caught:
        await store.batch("products/x", saw.name, *missing)
    assert [violation.field for violation in caught.value.violations] == [
        f"names[{index}]" for index in range(100) if index != 1
    ]


async def test_lists_are_filtered_ordered_and_paged(store: Store) -> None:
    """Small pages together are the whole list."""
    for hundredths in (500, 300, 900, 100, 700):
        await store.create(wanted(f"Thing {hundredths}", hundredths))
    listed = await store.listed(filter="price > 2 AND title : thing", order_by="price desc", page_size=2)
    assert [product.title for product in listed] == ["Thing 900", "Thing 700", "Thing 500", "Thing 300"]


async def test_a_list_by_long_titles_is_paged(store: Store) -> None:
    """The page after a title of the most characters, each of four bytes, is found by its token."""
    titles = [f"{'🪚' * 199}{end}" for end in "🪚🪛"]
    for title in titles:
        await store.create(wanted(title))
    listed = await store.listed(order_by="category, title", page_size=1)
    assert [product.title for product in listed] == titles


async def test_searches_are_paged(store: Store) -> None:
    """Small pages together are the whole result, the best match first."""
    for number in range(4):
        await store.create(wanted(f"Saw {number}"))
    await store.create(wanted("Oil", description="For a saw."))
    found = [product.title for product in await store.found("SAWS", page_size=2)]
    assert (found[-1], sorted(found)) == ("Oil", ["Oil", "Saw 0", "Saw 1", "Saw 2", "Saw 3"])
    assert found == [product.title for product in await store.found("SAWS")]


WRONG_LISTS: list[tuple[dict[str, Any], list[str]]] = [
    ({"filter": "price >"}, ["filter"]),
    ({"filter": "\0"}, ["filter"]),
    ({"filter": "(" * 1000}, ["filter"]),
    ({"filter": "x" * 1001, "order_by": "x" * 201}, ["filter", "order_by"]),
    ({"filter": "price > ten", "order_by": "weight"}, ["filter", "order_by"]),
    ({"order_by": "\0"}, ["order_by"]),
    ({"page_size": -1}, ["page_size"]),
    ({"page_token": "nonsense"}, ["page_token"]),
    ({"page_token": "\0"}, ["page_token"]),
    ({"page_token": "x" * 2049}, ["page_token"]),
]


async def test_a_wrong_list_request_is_refused(store: Store) -> None:
    """Every invalid field is named."""
    for request_fields, fields in WRONG_LISTS:
        with pytest.raises(InvalidArgument) as caught:
            await store.catalog.list_products(ListProductsRequest(**request_fields))
        assert fields_of(caught) == fields, request_fields


WRONG_SEARCHES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["query"]),
    ({"query": "\0"}, ["query"]),
    ({"query": "x" * 201, "page_size": -1}, ["query", "page_size"]),
    ({"query": "x", "page_token": "nonsense"}, ["page_token"]),
]


async def test_a_wrong_search_request_is_refused(store: Store) -> None:
    """Every invalid field is named."""
    for request_fields, fields in WRONG_SEARCHES:
        with pytest.raises(InvalidArgument) as caught:
            await store.catalog.search_products(SearchProductsRequest(**request_fields))
        assert fields_of(caught) == fields, request_fields


async def test_a_page_token_is_for_its_query(store: Store) -> None:
    """With another filter or order, or in a search, the token is rejected."""
    for _ in range(2):
        await store.create()
    token = (await store.catalog.list_products(ListProductsRequest(page_size=1, filter="price > 1"))).next_page_token
    others: tuple[dict[str, Any], ...] = (
        {},
        {"filter": "price > 2"},
        {"filter": "price > 1", "order_by": "price"},
        {"filter": "price > 1", "show_deleted": True},
    )
    for other in others:
        with store.as_staff(), pytest.raises(InvalidArgument) as caught:
            await store.catalog.list_products(ListProductsRequest(page_token=token, **other))
        assert fields_of(caught) == ["page_token"]
    with pytest.raises(InvalidArgument) as caught:
        await store.catalog.search_products(SearchProductsRequest(query="saw", page_token=token))
    assert fields_of(caught) == ["page_token"]


@pytest.mark.parametrize(
    ("subject", "error"),
    [("", Unauthenticated), ("users/ada", PermissionDenied), ("workloads/orders", PermissionDenied)],
)
async def test_only_staff_writes(store: Store, subject: str, error: type[MeshError]) -> None:
    """Without the scope catalog.write nothing changes."""
    created = await store.create()
    token = store.issuer.token(subject, "profile orders.read orders.write") if subject else ""
    with acting_with(token):
        for call in (
            store.catalog.create_product(CreateProductRequest(product=wanted())),
            store.catalog.update_product(UpdateProductRequest(product=Product(name=created.name, title="Rake"))),
            store.catalog.delete_product(DeleteProductRequest(name=created.name)),
            store.catalog.undelete_product(UndeleteProductRequest(name=created.name)),
        ):
            with pytest.raises(error):
                await call
    assert await store.events() == [created]
