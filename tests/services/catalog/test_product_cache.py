"""The cache of products: what it keeps, and when it drops it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import Product as ProductMessage

from mesh.database import Database
from mesh.errors import NotFound
from services.catalog import product_cache
from services.catalog.domain.product import Product
from services.catalog.handlers import CatalogHandlers
from services.catalog.product_cache import STALE_S_MAX, ProductCache
from tests.issuer import Issuer
from tests.services.calls import channel_to, serving
from tests.services.catalog.products import product
from tests.services.catalog.store import Store, wanted


class Clock:
    """A clock that tests set."""

    now_s = 0.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """Returns a clock at 0."""
    return Clock()


@pytest.fixture
def cache(database: Database, clock: Clock) -> ProductCache:
    """Returns an empty cache that does not listen."""
    return ProductCache(database, clock_s=clock)


def fill(cache: ProductCache, read: Product) -> None:
    """Reads a product into the cache."""
    with cache.reading(read.uid) as pending:
        pending.product = read


def test_a_product_is_kept_until_it_changes(cache: ProductCache) -> None:
    """Others stay."""
    saw, axe = product("Saw"), product("Axe")
    for each in (saw, axe):
        assert cache.get(each.uid) is None
        fill(cache, each)
    cache.drop(saw.uid)
    assert cache.get(saw.uid) is None
    found = cache.get(axe.uid)
    assert found is not None
    assert found.title == "Axe"
    cache.clear()
    assert cache.get(axe.uid) is None


def test_no_product_is_older_than_the_bound(cache: ProductCache, clock: Clock) -> None:
    """Its age counts from the beginning of its read."""
    saw = product()
    with cache.reading(saw.uid) as pending:
        clock.now_s = 1.0
        pending.product = saw
    clock.now_s = STALE_S_MAX - 0.1
    assert cache.get(saw.uid) is not None
    clock.now_s = STALE_S_MAX
    assert cache.get(saw.uid) is None


def test_a_product_is_dropped_when_its_price_changes(cache: ProductCache) -> None:
    """Without an invalidation."""
    now = datetime.now(UTC)
    later, past = (replace(product(), next_price_change=now + timedelta(hours=hours)) for hours in (1, -1))
    for each in (later, past):
        fill(cache, each)
    assert (cache.get(later.uid) is None, cache.get(past.uid) is None) == (False, True)


@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_product_that_changes_while_it_is_read_is_not_cached(cache: ProductCache, all_of_them: bool) -> None:
    """A read that overlaps a change of its product is not cached; others are, unless any change may be missed."""
    saw, axe = product("Saw"), product("Axe")
    with cache.reading(saw.uid) as one, cache.reading(axe.uid) as other:
        one.product, other.product = saw, axe
        if all_of_them:
            cache.clear()
        else:
            cache.drop(saw.uid)
    assert cache.get(saw.uid) is None
    assert (cache.get(axe.uid) is None) == all_of_them


def test_the_cache_is_bounded(cache: ProductCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of products and the length of their descriptions are limited; the last read ones stay."""
    monkeypatch.setattr(product_cache, "PRODUCTS_MAX", 3)
    monkeypatch.setattr(product_cache, "TEXT_LENGTH_MAX", 100)
    products = [product(description="x" * 10) for _ in range(4)]
    for each in products[:3]:
        fill(cache, each)
    assert cache.get(products[0].uid) is not None
    fill(cache, products[3])
    assert [cache.get(each.uid) is None for each in products] == [False, True, False, False]
    long = product(description="x" * 90)
    fill(cache, long)
    assert [cache.get(each.uid) is None for each in (*products, long)] == [True, True, True, False, False]


@pytest.fixture
async def replicas(database: Database) -> AsyncIterator[list[tuple[Store, ProductCache]]]:
    """Starts two replicas of the catalog, each with its cache."""
    issuer = Issuer()
    async with AsyncExitStack() as stack:
        started = []
        for _ in range(2):
            cache = await stack.enter_async_context(ProductCache(database))
            port = await stack.enter_async_context(serving(issuer, CatalogHandlers(database, cache)))
            channel = await stack.enter_async_context(channel_to(port, "catalog"))
            started.append((Store(CatalogServiceClient(channel), database, issuer), cache))
        yield started


async def eventually_is(store: Store, wanted: ProductMessage) -> None:
    """Waits until a replica returns this product."""
    async with asyncio.timeout(5):
        while await store.get(wanted.name) != wanted:
            await asyncio.sleep(0.01)


async def test_a_change_at_one_replica_invalidates_all(replicas: list[tuple[Store, ProductCache]]) -> None:
    """The replica that makes the change drops the product at once, the other as soon as it is notified."""
    (here, _), (there, there_cache) = replicas
    created = await here.create(wanted())
    await eventually_is(there, created)
    updated = await here.update(ProductMessage(name=created.name, title="Axe"))
    assert await here.get(created.name) == updated
    await eventually_is(there, updated)
    await here.delete(created.name)
    with pytest.raises(NotFound):
        await here.get(created.name)
    async with asyncio.timeout(5):
        while there_cache.get(_uid(created)) is not None:
            await asyncio.sleep(0.01)
    with pytest.raises(NotFound):
        await there.get(created.name)


async def test_a_cached_product_is_read_without_the_database(
    replicas: list[tuple[Store, ProductCache]], database: Database
) -> None:
    """Anybody gets it from the cache; staff, who may change it next, reads the database."""
    store, _ = replicas[0]
    created = await store.create(wanted())
    assert await store.get(created.name) == created
    async with database.transaction() as tx:
        await tx.execute("UPDATE products SET title = 'Behind the back'")
    assert await store.get(created.name) == created
    with store.as_staff():
        assert (await store.get(created.name)).title == "Behind the back"


def _uid(message: ProductMessage) -> UUID:
    return UUID(message.uid)
