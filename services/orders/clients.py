"""The clients of other services: catalog, for products and their current prices."""

from collections.abc import Sequence

from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import BatchGetProductsRequest
from meshwright.catalog.v1.catalog_pb import Product as ProductMessage

from mesh.client import Channel
from mesh.errors import DeadlineExceeded, NotFound, ResourceExhausted, Unavailable
from mesh.money_message import money_of
from services.orders.domain import Product

RETRY_AFTER_S = 1.0


class Catalog:
    """The catalog service, as orders needs it."""

    def __init__(self, channel: Channel) -> None:
        self._client = CatalogServiceClient(channel)

    async def products(self, names: Sequence[str]) -> dict[str, Product]:
        """Returns those of these products that are on sale, by name. Raises Unavailable if the catalog does not
        respond, ResourceExhausted if it is busy.
        """
        try:
            messages = await self._existing(names)
        except (Unavailable, DeadlineExceeded) as error:
            raise Unavailable(
                "The order can't be priced because the catalog does not respond. Try again.",
                reason="CATALOG_UNAVAILABLE",
                retry_after_s=error.retry_after_s or RETRY_AFTER_S,
            ) from error
        except ResourceExhausted as error:
            raise ResourceExhausted(
                "The order can't be priced because the catalog is busy. Try again.",
                reason="CATALOG_BUSY",
                retry_after_s=error.retry_after_s or RETRY_AFTER_S,
            ) from error
        return {message.name: _product(message) for message in messages if message.delete_time is None}

    async def _existing(self, names: Sequence[str]) -> Sequence[ProductMessage]:
        """Returns the products that exist. BatchGetProducts returns all or none, but names the missing ones, so that
        the others can be requested again.
        """
        while names:
            try:
                response = await self._client.batch_get_products(BatchGetProductsRequest(names=list(names)))
            except NotFound as error:
                missing = _missing(error, names)
                if not missing:
                    raise
                names = [name for name in names if name not in missing]
            else:
                return response.products
        return []


def _missing(error: NotFound, names: Sequence[str]) -> set[str]:
    """Returns the names of products that do not exist, by the violations of the fields names[i]."""
    fields = {violation.field for violation in error.violations}
    return {name for index, name in enumerate(names) if f"names[{index}]" in fields}


def _product(message: ProductMessage) -> Product:
    assert message.price is not None, "the catalog's contract requires it"
    return Product(message.name, message.title, money_of(message.price))
