"""PricesService over a real channel, with a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import pytest
from googleapis.google.api.httpbody_pb import HttpBody
from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import ImportProductsRequest, Product
from meshwright.catalog.v1.prices_grpc import PricesServiceClient
from meshwright.catalog.v1.prices_pb import (
    CreatePriceRequest,
    DeletePriceRequest,
    GetPriceRequest,
    ListPricesRequest,
    Price,
    UpdatePriceRequest,
)
from protobuf.wkt import FieldMask, Timestamp

from mesh.database import Database
from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from services.catalog import pricing, product_cache
from services.catalog.handlers import CatalogHandlers
from services.catalog.price_handlers import PricesHandlers
from services.catalog.pricing import Repricer
from services.catalog.product_cache import ProductCache
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving
from tests.services.catalog.store import Store, money, wanted


def soon(seconds: float) -> Timestamp:
    """Returns a time in so many seconds."""
    return Timestamp.from_datetime(datetime.now(UTC) + timedelta(seconds=seconds))


class Shop:
    """A catalog with its products and prices."""

    def __init__(self, store: Store, prices: PricesServiceClient) -> None:
        self.store = store
        self.prices = prices

    async def schedule(self, product: Product, hundredths: int, currency: str = "EUR", **times: Any) -> Price:
        """Schedules a price."""
        price = Price(amount=money(hundredths, currency), **times)
        with self.store.as_staff():
            return await self.prices.create_price(CreatePriceRequest(parent=product.name, price=price))

    async def update(self, price: Price, *paths: str, **fields: Any) -> Price:
        """Updates fields of a price."""
        request = UpdatePriceRequest(price=Price(name=price.name, **fields), update_mask=FieldMask(paths=list(paths)))
        with self.store.as_staff():
            return await self.prices.update_price(request)

    async def import_products(self, *products: Product) -> None:
        """Imports a line for each of these products."""

        async def pieces() -> AsyncIterator[ImportProductsRequest]:
            for product in products:
                yield ImportProductsRequest(lines=HttpBody(data=f"{product.to_json()}\n".encode()))

        with self.store.as_staff():
            assert (await self.store.catalog.import_products(pieces())).rejected_count == 0

    async def events_of(self, product: Product) -> list[int]:
        """Returns the units of the prices in the events of a product."""
        return [each.price.units for each in await self.store.events() if each.name == product.name and each.price]


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    """Starts a catalog without products, whose repricer does not run."""
    issuer, cache = Issuer(), ProductCache(database)
    async with (
        cache,
        serving(issuer, CatalogHandlers(database, cache)) as port,
        serving(issuer, PricesHandlers(database, cache)) as prices_port,
        channel_to(port, "catalog") as channel,
        channel_to(prices_port, "catalog") as prices_channel,
    ):
        yield Shop(Store(CatalogServiceClient(channel), database, issuer), PricesServiceClient(prices_channel))


@pytest.fixture
def set_forward(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Returns a function that sets the clock for prices in force forward by so many seconds, from the real time."""

    def set_forward(seconds: float) -> None:
        class Later(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return datetime.now(tz) + timedelta(seconds=seconds)

        for module in (pricing, product_cache):
            monkeypatch.setattr(module, "datetime", Later)

    return set_forward


async def test_a_price_takes_effect_and_ends_by_itself(shop: Shop, set_forward: Callable[[float], None]) -> None:
    """Reads compute it: the product, lists, searches and the batch that orders reads show it, with another etag."""
    product = await shop.store.create(wanted("Saw", 2000))
    await shop.schedule(product, 1500, valid_from=soon(600), valid_until=soon(3600))
    assert (await shop.store.get(product.name)) == product
    set_forward(1800)
    reduced = await shop.store.get(product.name)
    assert (reduced.price, reduced.regular_price, reduced.etag != "1") == (money(1500), money(2000), True)
    assert await shop.store.batch(product.name) == [reduced]
    assert await shop.store.listed() == [reduced]
    assert await shop.store.found("saw") == [reduced]
    set_forward(7200)
    assert await shop.store.get(product.name) == product


async def test_the_repricer_publishes_each_change_once(
    shop: Shop, database: Database, set_forward: Callable[[float], None]
) -> None:
    """Two replicas share the work. What is stored follows, so that lists can be filtered by it."""
    product = await shop.store.create(wanted("Saw", 2000))
    await shop.schedule(product, 1500, valid_from=soon(600), valid_until=soon(3600))
    async with Repricer(database, poll_pause_s=0.02), Repricer(database, poll_pause_s=0.02):
        for seconds, units in ((0, [20]), (1800, [20, 15]), (7200, [20, 15, 20])):
            set_forward(seconds)
            async with asyncio.timeout(20):
                while await shop.events_of(product) != units:
                    listed = [each.price for each in await shop.store.listed(filter="price < 16")]
                    assert listed in ([], [money(1500)], [money(2000)])
                    await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
    assert await shop.events_of(product) == [20, 15, 20]


async def test_prices_do_not_overlap(shop: Shop) -> None:
    """Overlapping prices are rejected, also concurrent ones, in other currencies and by updates; adjacent ones are
    allowed.
    """
    product, other = await shop.store.create(), await shop.store.create()
    start, middle, end = soon(100), soon(200), soon(300)
    first = await shop.schedule(product, 1, valid_from=start, valid_until=middle)
    later = await shop.schedule(product, 2, "USD", valid_from=middle, valid_until=end)
    await shop.schedule(other, 1, valid_from=start)
    for times in ({}, {"valid_from": soon(150), "valid_until": soon(160)}):
        with pytest.raises(FailedPrecondition) as caught:
            await shop.schedule(product, 3, "USD", **times)
        assert caught.value.reason == "PRICES_OVERLAP"
    with pytest.raises(FailedPrecondition):
        await shop.update(later, "valid_from", valid_from=soon(199))
    answers = await asyncio.gather(
        *(shop.schedule(product, 4, valid_from=soon(400)) for _ in range(3)), return_exceptions=True
    )
    assert [isinstance(each, Price) for each in answers].count(True) == 1
    with shop.store.as_staff():
        listed = await shop.prices.list_prices(ListPricesRequest(parent=product.name, page_size=2))
        assert [each.amount for each in listed.prices] == [money(4), money(2, "USD")]
        request = ListPricesRequest(parent=product.name, page_token=listed.next_page_token)
        assert (await shop.prices.list_prices(request)).prices == [first]


async def test_a_price_in_force_ends_when_staff_ends_it(shop: Shop) -> None:
    """A price without a start time begins at once; it can't be deleted, but ends at the time that staff set."""
    product = await shop.store.create(wanted("Saw", 2000))
    price = await shop.schedule(product, 1500)
    assert (await shop.store.get(product.name)).price == money(1500)
    with shop.store.as_staff(), pytest.raises(FailedPrecondition) as caught:
        await shop.prices.delete_price(DeletePriceRequest(name=price.name))
    assert caught.value.reason == "PRICE_IN_FORCE"
    await shop.update(price, "valid_until", valid_until=Timestamp.from_datetime(datetime.now(UTC)))
    assert await shop.store.get(product.name) == product
    assert await shop.events_of(product) == [20, 15, 20]


@pytest.mark.parametrize("seconds", [-0.05, -3600])
async def test_an_end_in_the_past_ends_a_price_in_force_now(shop: Shop, seconds: float) -> None:
    """A price ends at the time of the update, also if the time that staff sets is before its start."""
    product = await shop.store.create(wanted("Saw", 2000))
    price = await shop.schedule(product, 1500)
    await asyncio.sleep(0.1)
    begun = datetime.now(UTC)
    ended = await shop.update(price, "valid_until", valid_until=soon(seconds))
    assert ended.valid_from == price.valid_from
    assert ended.valid_until is not None
    assert begun <= ended.valid_until.to_datetime() <= datetime.now(UTC)
    assert await shop.store.get(product.name) == product


async def test_a_planned_price_does_not_end_before_it_begins(shop: Shop) -> None:
    """An end before the start is rejected, in a new price and in an update."""
    product = await shop.store.create()
    price = await shop.schedule(product, 1, valid_from=soon(100), valid_until=soon(200))
    with pytest.raises(InvalidArgument) as caught:
        await shop.update(price, "valid_until", valid_until=soon(-1))
    assert [each.field for each in caught.value.violations] == ["price.valid_until"]
    with pytest.raises(InvalidArgument):
        await shop.schedule(product, 1, valid_until=soon(-1))


async def test_a_planned_price_is_deleted(shop: Shop, set_forward: Callable[[float], None]) -> None:
    """A price that has not begun is deleted, and never comes into force."""
    product = await shop.store.create()
    price = await shop.schedule(product, 1, valid_from=soon(600))
    with shop.store.as_staff():
        await shop.prices.delete_price(DeletePriceRequest(name=price.name, etag=price.etag))
        with pytest.raises(NotFound):
            await shop.prices.get_price(GetPriceRequest(name=price.name))
    set_forward(1800)
    assert await shop.store.get(product.name) == product


async def test_a_product_is_updated_while_a_price_is_in_force(shop: Shop) -> None:
    """The price that was read leaves the regular one as it is; another one is the new regular price."""
    product = await shop.store.create(wanted("Saw", 2000))
    await shop.schedule(product, 1500)
    read = await shop.store.get(product.name)
    read.title = "Axe"
    updated = await shop.store.update(read)
    assert (updated.title, updated.price, updated.regular_price) == ("Axe", money(1500), money(2000))
    updated = await shop.store.update(Product(name=product.name, price=money(1800)), "price")
    assert (updated.price, updated.regular_price) == (money(1500), money(1800))


async def test_an_import_of_what_was_read_keeps_the_regular_price(shop: Shop) -> None:
    """A line with the price in force leaves the regular one as it is; another one is the new regular price."""
    product = await shop.store.create(wanted("Saw", 2000))
    await shop.schedule(product, 1500)
    read = await shop.store.get(product.name)
    await shop.import_products(read)
    assert await shop.store.get(product.name) == read
    read.title = "Axe"
    await shop.import_products(read)
    updated = await shop.store.get(product.name)
    assert (updated.title, updated.price, updated.regular_price) == ("Axe", money(1500), money(2000))
    read.price = money(1800)
    await shop.import_products(read)
    updated = await shop.store.get(product.name)
    assert (updated.price, updated.regular_price) == (money(1500), money(1800))


async def test_only_staff_sees_and_changes_prices(shop: Shop) -> None:
    """A price that comes is not public; a product must exist, and an amount be given."""
    product = await shop.store.create()
    with acting_with(shop.store.issuer.token("users/ada", "profile")), pytest.raises(PermissionDenied):
        await shop.prices.list_prices(ListPricesRequest(parent=product.name))
    with shop.store.as_staff(), pytest.raises(InvalidArgument):
        await shop.prices.create_price(CreatePriceRequest(parent=product.name, price=Price()))
    with pytest.raises(NotFound):
        await shop.schedule(Product(name="products/00000000-0000-4000-8000-000000000000"), 1)
