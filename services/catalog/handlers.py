"""The methods of CatalogService."""

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID, uuid4

from meshwright.catalog.v1.catalog_grpc import CatalogServiceBase
from meshwright.catalog.v1.catalog_pb import (
    BatchGetProductsRequest,
    BatchGetProductsResponse,
    CreateProductRequest,
    DeleteProductRequest,
    GetProductRequest,
    ImportProductsRequest,
    ImportProductsResponse,
    ListProductsRequest,
    ListProductsResponse,
    SearchProductsRequest,
    SearchProductsResponse,
    UndeleteProductRequest,
    UpdateProductRequest,
)
from meshwright.catalog.v1.catalog_pb import Product as ProductMessage
from meshwright.catalog.v1.events_pb import ProductChanged

from mesh.database import Connection, Database
from mesh.errors import FieldViolation, MeshError, NotFound, Unauthenticated, invalid_fields
from mesh.events import publish
from mesh.field_mask import apply_update
from mesh.idempotency import once
from mesh.pagination import PAGE_SIZE_DEFAULT, read_page
from mesh.rpc import Call
from services.catalog import storage
from services.catalog.categories import categories_below, hold_categories
from services.catalog.database_share import DatabaseShare
from services.catalog.domain.product import Details, Product, all_of, existing, storable, uid_of, visible
from services.catalog.importer import Importer
from services.catalog.listing import Listing
from services.catalog.pricing import priced_now
from services.catalog.product_cache import ProductCache
from services.catalog.product_message import SOURCE, details_of, product_message, product_messages, regular_message

STAFF_SCOPE = "catalog.write"
PAGE_SIZE_MAX = 200
# Of the pool's connections, 5 by default: filtered lists, long pages and searches at the same time.
EXPENSIVE_READS_MAX = 2
EXPENSIVE_READ_TIMEOUT_S = 1.0
UPDATABLE = frozenset({"title", "description", "category", "additional_categories", "price"})


class CatalogHandlers(CatalogServiceBase):
    """The handlers of CatalogService. Every change of a product publishes an event in the same transaction."""

    def __init__(self, database: Database, cache: ProductCache) -> None:
        self._database = database
        self._cache = cache
        self._importer = Importer(database, cache)
        self._expensive = DatabaseShare(
            database, connections_max=EXPENSIVE_READS_MAX, statement_timeout_s=EXPENSIVE_READ_TIMEOUT_S
        )

    async def create_product(self, request: CreateProductRequest, call: Call) -> ProductMessage:
        """Creates a product, once for each request_id. Ignores output-only fields (AIP-203)."""
        details = details_of(request.product or ProductMessage())
        async with self._database.transaction() as tx:
            return await once(tx, call, request, partial(_create, tx, details))

    async def get_product(self, request: GetProductRequest, call: Call) -> ProductMessage:
        """Returns a product; deleted ones only to staff (AIP-164). Staff, who may change it next, reads past the
        cache.
        """
        uid, staff = uid_of(request.name), _is_staff(call)
        if not staff and (cached := self._cache.get(uid)) is not None:
            return cached
        with self._cache.reading(uid) as pending:
            product = await self._read(uid, staff=staff)
            if product.delete_time is None:
                pending.product = product
        return product_message(product)

    async def _read(self, uid: UUID, *, staff: bool) -> Product:
        async with self._database.autocommit() as connection:
            product = visible(await storage.find(connection, uid), staff=staff)
            [product] = await priced_now(connection, [product])
        return product

    async def list_products(self, request: ListProductsRequest, call: Call) -> ListProductsResponse:
        """Returns a page of the products that match a filter."""
        if request.show_deleted and not _is_staff(call):
            raise _staff_only(call)
        listing = Listing.read(
            request.filter, request.order_by, show_deleted=request.show_deleted, category=request.category
        )
        page = read_page(
            request.page_size,
            request.page_token,
            query=listing.query,
            key_types=storage.key_types(listing),
            size_max=PAGE_SIZE_MAX,
        )
        is_cheap = listing.reads_only_results and not request.category and page.size <= PAGE_SIZE_DEFAULT
        database = self._database if is_cheap else self._expensive
        async with database.transaction() as tx:
            if request.category:
                listing = listing.within(await categories_below(tx, request.category))
            products, next_page_token = await storage.list_products(tx, listing, page)
            products = await priced_now(tx, products)
        return ListProductsResponse(products=product_messages(products), next_page_token=next_page_token)

    async def search_products(self, request: SearchProductsRequest, call: Call) -> SearchProductsResponse:
        """Returns a page of the products that match a search. Stop words ("the") match nothing."""
        query = storable(request.query, "query")
        page = read_page(
            request.page_size,
            request.page_token,
            query=(query,),
            key_types=storage.SEARCH_KEY_TYPES,
            size_max=PAGE_SIZE_MAX,
        )
        async with self._expensive.transaction() as tx:
            products, next_page_token = await storage.search(tx, query, page)
            products = await priced_now(tx, products)
        return SearchProductsResponse(products=product_messages(products), next_page_token=next_page_token)

    async def batch_get_products(self, request: BatchGetProductsRequest, call: Call) -> BatchGetProductsResponse:
        """Returns all of these products or none, in the order of the names, repeated if a name is. Deleted ones exist
        only for staff.
        """
        async with self._database.autocommit() as connection:
            products = await priced_now(connection, await storage.find_all(connection, _possible_uids(request.names)))
        by_name = {each.name: each for each in products if each.delete_time is None or _is_staff(call)}
        found = all_of(request.names, by_name)
        return BatchGetProductsResponse(products=product_messages(found))

    async def update_product(self, request: UpdateProductRequest, call: Call) -> ProductMessage:
        """Updates the fields that the mask names; the price as a whole or, by "price.units", in part."""
        patch = request.product or ProductMessage()

        def updated(product: Product) -> Product:
            wanted = apply_update(regular_message(product), patch, request.update_mask, updatable=UPDATABLE)
            return product.update(details_of(wanted), patch.etag, datetime.now(UTC))

        return await self._change(uid_of(patch.name, "product.name"), updated)

    async def delete_product(self, request: DeleteProductRequest, call: Call) -> ProductMessage:
        """Deletes a product, which can be undeleted."""
        return await self._change(uid_of(request.name), lambda product: product.delete(request.etag, datetime.now(UTC)))

    async def undelete_product(self, request: UndeleteProductRequest, call: Call) -> ProductMessage:
        """Restores a deleted product."""
        return await self._change(
            uid_of(request.name), lambda product: product.undelete(request.etag, datetime.now(UTC))
        )

    async def import_products(
        self, requests: AsyncIterator[ImportProductsRequest], call: Call
    ) -> ImportProductsResponse:
        """Imports the products of a file."""
        return await self._importer.import_products(requests, call.caller.subject)

    async def _change(self, uid: UUID, change: Callable[[Product], Product]) -> ProductMessage:
        """Changes a product while its row is locked, and publishes an event unless it stays the same."""
        async with self._database.transaction() as tx:
            [product] = await priced_now(tx, [existing(await storage.find(tx, uid, lock=True))])
            changed = change(product)
            message = product_message(changed)
            if changed is not product:
                await hold_categories(tx, [changed], changed.update_time)
                await storage.update(tx, changed)
                await publish(tx, ProductChanged(product=message), source=SOURCE, aggregate=message.name)
        self._cache.drop(uid)
        return message


async def _create(tx: Connection, details: Details) -> ProductMessage:
    product = Product.create(uuid4(), details, datetime.now(UTC))
    await hold_categories(tx, [product], product.create_time)
    await storage.insert(tx, product)
    message = product_message(product)
    await publish(tx, ProductChanged(product=message), source=SOURCE, aggregate=message.name)
    return message


def _is_staff(call: Call) -> bool:
    return STAFF_SCOPE in call.caller.scopes


def _staff_only(call: Call) -> MeshError:
    """Returns the error of a caller who requests deleted products without being staff. It is not PERMISSION_DENIED,
    because Linkerd's failure accrual counts that: one signed-in caller could make the service unavailable for all.
    """
    if not call.caller.subject:
        return Unauthenticated(
            "Only staff may list deleted products; this call requires an access token.", reason="TOKEN_MISSING"
        )
    text = f"may only be true for staff; the access token lacks the scope {STAFF_SCOPE}"
    return invalid_fields((FieldViolation("show_deleted", text, "SCOPE_MISSING"),))


def _possible_uids(names: Sequence[str]) -> set[UUID]:
    """Returns the identifiers in these names, without names that no product can have."""
    uids = set()
    for name in names:
        with contextlib.suppress(NotFound):
            uids.add(uid_of(name))
    return uids
