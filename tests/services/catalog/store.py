"""A running catalog service, with helpers for its methods."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from googleapis.google.type.money_pb import Money
from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import (
    BatchGetProductsRequest,
    CreateProductRequest,
    DeleteProductRequest,
    GetProductRequest,
    ListProductsRequest,
    Product,
    SearchProductsRequest,
    UndeleteProductRequest,
    UpdateProductRequest,
)
from meshwright.catalog.v1.events_pb import ProductChanged
from protobuf.wkt import FieldMask

from mesh.database import Database
from tests.issuer import Issuer
from tests.services.calls import acting_with

STAFF_SCOPES = "profile orders.read orders.write catalog.write orders.manage"


def money(hundredths: int, currency: str = "EUR") -> Money:
    """Returns an amount as a message."""
    return Money(currency_code=currency, units=hundredths // 100, nanos=hundredths % 100 * 10_000_000)


def wanted(title: str = "Saw", hundredths: int = 2490, **fields: Any) -> Product:
    """Returns the product of a request to create it."""
    sent: dict[str, Any] = {"title": title, "category": "garden-tools", "price": money(hundredths)} | fields
    return Product(**sent)


@dataclass
class Store:
    """A catalog service. Reads have no token, and writes are made by staff."""

    catalog: CatalogServiceClient
    database: Database
    issuer: Issuer

    async def create(
        self, product: Product | None = None, request_id: str = "", subject: str = "users/boss"
    ) -> Product:
        """Creates a product."""
        request = CreateProductRequest(product=product or wanted(), request_id=request_id)
        with acting_with(self.issuer.token(subject, STAFF_SCOPES)):
            return await self.catalog.create_product(request)

    async def update(self, product: Product, *paths: str) -> Product:
        """Updates the fields of these paths; without a path, those that are set in the product."""
        request = UpdateProductRequest(product=product, update_mask=FieldMask(paths=list(paths)) if paths else None)
        with self.as_staff():
            return await self.catalog.update_product(request)

    async def delete(self, name: str, etag: str = "") -> Product:
        """Deletes a product."""
        with self.as_staff():
            return await self.catalog.delete_product(DeleteProductRequest(name=name, etag=etag))

    async def undelete(self, name: str, etag: str = "") -> Product:
        """Restores a product."""
        with self.as_staff():
            return await self.catalog.undelete_product(UndeleteProductRequest(name=name, etag=etag))

    def as_staff(self) -> AbstractContextManager[None]:
        """Makes calls in this block as staff."""
        return acting_with(self.issuer.token("users/boss", STAFF_SCOPES))

    async def get(self, name: str) -> Product:
        """Reads a product."""
        return await self.catalog.get_product(GetProductRequest(name=name))

    async def batch(self, *names: str) -> list[Product]:
        """Reads several products."""
        response = await self.catalog.batch_get_products(BatchGetProductsRequest(names=list(names)))
        return list(response.products)

    async def listed(self, **fields: Any) -> list[Product]:
        """Returns all products of a list, page by page."""
        products, token = [], ""
        while True:
            response = await self.catalog.list_products(ListProductsRequest(page_token=token, **fields))
            products += response.products
            if not (token := response.next_page_token):
                return products

    async def found(self, query: str, **fields: Any) -> list[Product]:
        """Returns all products that a search finds, page by page."""
        products, token = [], ""
        while True:
            request = SearchProductsRequest(query=query, page_token=token, **fields)
            response = await self.catalog.search_products(request)
            products += response.products
            if not (token := response.next_page_token):
                return products

    async def events(self) -> list[Product]:
        """Returns the products in the events that the service has published, in order."""
        async with self.database.transaction() as tx:
            rows = await tx.fetch("SELECT type, source, aggregate, payload FROM mesh.outbox ORDER BY id")
        products = [ProductChanged.from_binary(row["payload"]).product for row in rows]
        published = [(row["type"], row["source"], row["aggregate"]) for row in rows]
        assert published == [(ProductChanged.desc().type_name, "catalog", each.name) for each in products if each]
        return [each for each in products if each]
