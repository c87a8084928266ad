"""The clients of other services: catalog for products and their prices, inventory and payments to retry their steps."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import BatchGetProductsRequest
from meshwright.catalog.v1.catalog_pb import Product as ProductMessage
from meshwright.inventory.v1.inventory_grpc import InventoryServiceClient
from meshwright.inventory.v1.inventory_pb import CommitRequest, OrderedUnits, ReleaseRequest, ReserveRequest
from meshwright.payments.v1.payments_grpc import PaymentsServiceClient
from meshwright.payments.v1.payments_pb import CancelChargeRequest, ChargeRequest, GetChargeRequest

from mesh.client import Channel
from mesh.errors import DeadlineExceeded, FailedPrecondition, NotFound, ResourceExhausted, Unavailable
from mesh.money_message import money_message, money_of
from services.orders.domain import Order
from services.orders.outcomes import after_payment, after_reservation
from services.orders.pricing import Product

RETRY_AFTER_S = 1.0

Outcome: TypeAlias = Callable[[Order, datetime], Order]
"""The effect of a service's response on an order: a transition, which has no effect if it no longer applies."""


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


class Inventory:
    """The inventory service, as orders needs it."""

    NAME: Final = "inventory"

    def __init__(self, channel: Channel) -> None:
        self._client = InventoryServiceClient(channel)

    async def retry(self, order: Order) -> Outcome:
        """Reserves the products of an order, unless that is done already. Raises the MeshError of a failed call."""
        units = [OrderedUnits(product=line.product, quantity=line.quantity) for line in order.lines]
        reservation = await self._client.reserve(ReserveRequest(order=order.name, units=units))
        return lambda current, now: after_reservation(current, reservation, now)

    async def undo(self, order: Order) -> None:
        """Releases the products of an order. Raises the MeshError of a failed call."""
        await self._client.release(ReleaseRequest(order=order.name))

    async def commit(self, order: Order) -> None:
        """Takes the products of an order out of the stock, unless that is done already. Raises FailedPrecondition if
        they are no longer there, Unavailable if inventory does not respond.
        """
        try:
            await self._client.commit(CommitRequest(order=order.name))
        except FailedPrecondition as error:
            raise FailedPrecondition(
                "The products of the order are not in stock any more, so it can't be shipped.",
                reason="ORDER_NOT_IN_STOCK",
            ) from error
        except (Unavailable, DeadlineExceeded) as error:
            raise Unavailable(
                "The order can't be shipped because inventory does not respond. Try again.",
                reason="INVENTORY_UNAVAILABLE",
                retry_after_s=error.retry_after_s or RETRY_AFTER_S,
            ) from error


class Payments:
    """The payments service, as orders needs it."""

    NAME: Final = "payments"

    def __init__(self, channel: Channel) -> None:
        self._client = PaymentsServiceClient(channel)

    async def retry(self, order: Order) -> Outcome:
        """Charges the customer of an order, unless that is done already. Raises the MeshError of a failed call."""
        request = ChargeRequest(
            order=order.name,
            customer=order.customer,
            amount=money_message(order.total),
            payment_method=order.payment_method,
        )
        payment = await self._client.charge(request)
        return lambda current, now: after_payment(current, payment, now)

    async def find(self, order: Order) -> Outcome:
        """Asks for the payment of an order, without charging anything. Raises the MeshError of a failed call."""
        payment = await self._client.get_charge(GetChargeRequest(order=order.name))
        return lambda current, now: after_payment(current, payment, now)

    async def undo(self, order: Order) -> None:
        """Ends the payment for an order, or pays it back. Raises the MeshError of a failed call."""
        await self._client.cancel_charge(CancelChargeRequest(order=order.name))


def _missing(error: NotFound, names: Sequence[str]) -> set[str]:
    """Returns the names of products that do not exist, by the violations of the fields names[i]."""
    fields = {violation.field for violation in error.violations}
    return {name for index, name in enumerate(names) if f"names[{index}]" in fields}


def _product(message: ProductMessage) -> Product:
    assert message.price is not None, "the catalog's contract requires it"
    return Product(message.name, message.title, money_of(message.price))
