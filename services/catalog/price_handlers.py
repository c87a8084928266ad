"""The methods of PricesService."""

from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from meshwright.catalog.v1.prices_grpc import PricesServiceBase
from meshwright.catalog.v1.prices_pb import (
    CreatePriceRequest,
    DeletePriceRequest,
    GetPriceRequest,
    ListPricesRequest,
    ListPricesResponse,
    UpdatePriceRequest,
)
from meshwright.catalog.v1.prices_pb import Price as PriceMessage
from protobuf.wkt import Empty, Timestamp

from mesh.database import Connection, Database
from mesh.field_mask import apply_update
from mesh.idempotency import once
from mesh.money_message import money_message, money_of
from mesh.pagination import read_page
from mesh.rpc import Call
from mesh.timestamp_message import time_of
from services.catalog import price_storage, storage
from services.catalog.domain.price import Price, Terms, existing_price, uids_of
from services.catalog.domain.product import Product, existing, uid_of
from services.catalog.pricing import reprice
from services.catalog.product_cache import ProductCache

PAGE_SIZE_MAX: Final = 200
UPDATABLE: Final = frozenset({"amount", "valid_from", "valid_until"})


class PricesHandlers(PricesServiceBase):
    """The handlers of PricesService. The prices of a product change while its row is locked, so that the price in force
    changes with them.
    """

    def __init__(self, database: Database, cache: ProductCache) -> None:
        self._database = database
        self._cache = cache

    async def create_price(self, request: CreatePriceRequest, call: Call) -> PriceMessage:
        """Schedules a price, once for each request_id."""
        uid = uid_of(request.parent, "parent")

        async def create() -> PriceMessage:
            product = existing(await storage.find(tx, uid, lock=True))
            now = datetime.now(UTC)
            wanted = request.price or PriceMessage()
            price = Price.create(uuid4(), uid, _terms(wanted, _end(wanted), now), now)
            (await price_storage.read_schedules(tx, [uid], now))[uid].check_room()
            await price_storage.insert(tx, price)
            await reprice(tx, [product], now)
            return _message(price)

        async with self._database.transaction() as tx:
            message = await once(tx, call, request, create)
        self._cache.drop(uid)
        return message

    async def get_price(self, request: GetPriceRequest, call: Call) -> PriceMessage:
        """Returns a price."""
        async with self._database.autocommit() as connection:
            return _message(existing_price(await price_storage.find(connection, *uids_of(request.name))))

    async def list_prices(self, request: ListPricesRequest, call: Call) -> ListPricesResponse:
        """Returns a page of a product's prices."""
        uid = uid_of(request.parent, "parent")
        page = read_page(
            request.page_size,
            request.page_token,
            query=(request.parent,),
            key_types=price_storage.KEY_TYPES,
            size_max=PAGE_SIZE_MAX,
        )
        async with self._database.autocommit() as connection:
            existing(await storage.find(connection, uid))
            prices, next_page_token = await price_storage.list_prices(connection, uid, page)
        return ListPricesResponse(prices=[_message(each) for each in prices], next_page_token=next_page_token)

    async def update_price(self, request: UpdatePriceRequest, call: Call) -> PriceMessage:
        """Updates the fields that the mask names."""
        patch = request.price or PriceMessage()
        async with self._database.transaction() as tx:
            product, price = await _locked(tx, patch.name, "price.name")
            now = datetime.now(UTC)
            wanted = apply_update(_message(price), patch, request.update_mask, updatable=UPDATABLE)
            end = price.end_of(_end(wanted), now)
            changed = price.update(_terms(wanted, end, now), patch.etag, now)
            if changed is not price:
                await price_storage.update(tx, changed)
                await reprice(tx, [product], now)
        self._cache.drop(product.uid)
        return _message(changed)

    async def delete_price(self, request: DeletePriceRequest, call: Call) -> Empty:
        """Deletes a price that is not in force yet."""
        async with self._database.transaction() as tx:
            product, price = await _locked(tx, request.name)
            now = datetime.now(UTC)
            price.check_deletable(request.etag, now)
            await price_storage.delete(tx, price)
            await reprice(tx, [product], now)
        self._cache.drop(product.uid)
        return Empty()


async def _locked(tx: Connection, name: str, field: str = "name") -> tuple[Product, Price]:
    """Returns a price and its product, whose row is locked."""
    product_uid, uid = uids_of(name, field)
    product = existing(await storage.find(tx, product_uid, lock=True))
    return product, existing_price(await price_storage.find(tx, product_uid, uid))


def _terms(message: PriceMessage, end: datetime | None, now: datetime) -> Terms:
    amount = None if message.amount is None else money_of(message.amount)
    start = now if message.valid_from is None else time_of(message.valid_from, "price.valid_from")
    return Terms.checked(amount, start, end)


def _end(message: PriceMessage) -> datetime | None:
    return None if message.valid_until is None else time_of(message.valid_until, "price.valid_until")


def _message(price: Price) -> PriceMessage:
    terms = price.terms
    return PriceMessage(
        name=price.name,
        uid=str(price.uid),
        amount=money_message(terms.amount),
        valid_from=Timestamp.from_datetime(terms.start),
        valid_until=None if terms.end is None else Timestamp.from_datetime(terms.end),
        create_time=Timestamp.from_datetime(price.create_time),
        update_time=Timestamp.from_datetime(price.update_time),
        etag=price.etag,
    )
