"""The consumers of events: the stock follows orders and products, and deleted users are forgotten."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog
from meshwright.catalog.v1.events_pb import ProductChanged
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced
from meshwright.orders.v1.orders_pb import Order
from protobuf import Message

from mesh.database import Connection, Database
from mesh.events import Broker, Event, Inbox
from mesh.events.inbox import Handler
from mesh.idempotency import forget_caller
from services.inventory import erasure_storage, product_change_storage, reservations
from services.inventory.domain import total_units
from services.inventory.reservations import SOURCE

log = structlog.get_logger()


class Consumers:
    """The handlers of events."""

    def __init__(self, valid_for: timedelta) -> None:
        """Prepares the handlers. Reservations expire after `valid_for`."""
        self._valid_for = valid_for

    def inbox(self, database: Database, broker: Broker) -> Inbox:
        """Returns the inbox that runs the handlers, each event of an order in a transaction of its own: it locks the
        stock of its products in the order of their names. No other event locks stock.
        """
        return Inbox(
            database,
            broker,
            service=SOURCE,
            handlers=self.handlers(),
            separate={OrderPlaced, OrderConfirmed, OrderCancelled},
        )

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {
            OrderPlaced: self.order_placed,
            OrderConfirmed: self.order_confirmed,
            OrderCancelled: self.order_cancelled,
            ProductChanged: self.product_changed,
            UserDeleted: self.user_deleted,
        }

    async def order_placed(self, tx: Connection, event: Event[OrderPlaced]) -> None:
        """Reserves the products of an order."""
        order = _order(event.data.order)
        units = total_units((line.product, line.quantity) for line in order.lines)
        reservation = await reservations.reserve(tx, order.name, units, datetime.now(UTC), self._valid_for)
        log.info("order's products", order=order.name, state=reservation.state.value)

    async def order_confirmed(self, tx: Connection, event: Event[OrderConfirmed]) -> None:
        """Takes the products of a paid order out of the stock."""
        order = _order(event.data.order)
        reservation = await reservations.commit(tx, order.name, datetime.now(UTC))
        if reservation is None:
            log.error("confirmed order without a reservation", order=order.name)
        else:
            log.info("order's products", order=order.name, state=reservation.state.value)

    async def order_cancelled(self, tx: Connection, event: Event[OrderCancelled]) -> None:
        """Makes the products of a cancelled order available again."""
        order = _order(event.data.order)
        reservation = await reservations.release(tx, order.name, datetime.now(UTC))
        log.info("order's products", order=order.name, state=reservation.state.value)

    async def product_changed(self, tx: Connection, event: Event[ProductChanged]) -> None:
        """Leaves a deleted product out of what is reordered, until it comes back."""
        product = event.data.product
        assert product is not None, "catalog sets it"
        await product_change_storage.note(tx, product.name, deleted=product.delete_time is not None)

    async def user_deleted(self, tx: Connection, event: Event[UserDeleted]) -> None:
        """Removes the name of a deleted member of staff from adjustments, which are kept."""
        await erasure_storage.erase(tx, event.data.user)
        await forget_caller(tx, event.data.user)


def _order(order: Order | None) -> Order:
    assert order is not None, "orders sets it"
    return order
