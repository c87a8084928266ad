"""The consumers of events: baskets come from paid orders, and what is withdrawn or deleted is left out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from meshwright.catalog.v1.events_pb import ProductChanged
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed
from protobuf import Message

from mesh.database import Connection, Database
from mesh.events import Broker, Event, Inbox
from mesh.events.inbox import Handler
from mesh.resource_name import uid_in
from services.recommendations import basket_storage, erasure_storage, exposures, feature_storage
from services.recommendations.domain.basket import Basket
from services.recommendations.domain.recommendation import PRODUCT_PREFIX

ORDER_PREFIX: Final = "orders/"


def inbox(database: Database, broker: Broker) -> Inbox:
    """Returns the inbox that runs the handlers, each erasure in a transaction of its own: in a batch, it would lock its
    user after those of other events.
    """
    return Inbox(database, broker, service="recommendations", handlers=handlers(), separate={UserDeleted})


def handlers() -> Mapping[type[Message], Handler]:
    """Returns the handler of each event, for the inbox."""
    return {
        OrderConfirmed: order_confirmed,
        OrderCancelled: order_cancelled,
        ProductChanged: product_changed,
        UserDeleted: user_deleted,
    }


async def order_confirmed(tx: Connection, event: Event[OrderConfirmed]) -> None:
    """Writes the basket of a paid order. An order that was placed after an exposure is its conversion."""
    order = event.data.order
    assert order is not None, "orders sets it"
    assert order.create_time is not None, "orders sets it"
    placed = order.create_time.to_datetime()
    is_known = order.customer and not await erasure_storage.is_erased(tx, order.customer)
    products = filter(None, (uid_in(line.product, PRODUCT_PREFIX) for line in order.lines))
    basket = Basket.of(_uid(order.name), order.customer if is_known else None, products, placed)
    await basket_storage.insert(tx, basket)
    if is_known:
        await exposures.convert(tx, order.customer, order.name, placed)


async def order_cancelled(tx: Connection, event: Event[OrderCancelled]) -> None:
    """Withdraws the basket of an order that had been paid."""
    order = event.data.order
    assert order is not None, "orders sets it"
    await basket_storage.withdraw(tx, _uid(order.name))


async def product_changed(tx: Connection, event: Event[ProductChanged]) -> None:
    """Leaves out a product that was deleted, until it comes back."""
    product = event.data.product
    assert product is not None, "catalog sets it"
    await feature_storage.set_withdrawn(tx, UUID(product.uid), product.delete_time is not None)


async def user_deleted(tx: Connection, event: Event[UserDeleted]) -> None:
    """Erases the user."""
    await erasure_storage.erase(tx, event.data.user, datetime.now(UTC))


def _uid(name: str) -> UUID:
    uid = uid_in(name, ORDER_PREFIX)
    assert uid is not None, "orders sets it"
    return uid
