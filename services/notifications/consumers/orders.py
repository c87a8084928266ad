"""The consumers of events about orders."""

from typing import Any, Final

from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped
from meshwright.orders.v1.orders_pb import Order, Shipment
from protobuf import Message

from mesh.database import Connection
from mesh.events import Event
from mesh.events.inbox import Handler
from services.notifications.domain.notification import Kind, notification_uid
from services.notifications.formatting import amount, order_number
from services.notifications.notifier import Notifier
from services.notifications.webhook_publisher import WebhookPublisher

_WHY: Final = {
    Order.CancelReason.CUSTOMER: " as you asked",
    Order.CancelReason.OUT_OF_STOCK: " because we do not have enough of it in stock",
    Order.CancelReason.PAYMENT_FAILED: " because the payment failed",
    Order.CancelReason.TIMED_OUT: " because it could not be completed in time",
}


class OrderConsumers:
    """The handlers of events about orders: they notify the customer, and publish webhooks."""

    def __init__(self, notifier: Notifier, webhooks: WebhookPublisher) -> None:
        self._notifier = notifier
        self._webhooks = webhooks

    def handlers(self) -> dict[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {
            OrderPlaced: self.order_placed,
            OrderConfirmed: self.order_confirmed,
            OrderShipped: self.order_shipped,
            OrderCancelled: self.order_cancelled,
        }

    async def order_placed(self, tx: Connection, event: Event[OrderPlaced]) -> None:
        """Publishes that an order was placed. The customer is notified once it is confirmed or cancelled."""
        await self._publish(tx, event, "order.placed")

    async def order_confirmed(self, tx: Connection, event: Event[OrderConfirmed]) -> None:
        """Publishes that an order was paid, and notifies the customer."""
        await self._publish(tx, event, "order.confirmed")
        await self._notify(tx, event, Kind.ORDER_CONFIRMED)

    async def order_shipped(self, tx: Connection, event: Event[OrderShipped]) -> None:
        """Publishes that an order left for the customer, and notifies the customer."""
        await self._publish(tx, event, "order.shipped")
        shipment = _order(event).shipment or Shipment()
        words = {"carrier": shipment.carrier, "tracking_number": shipment.tracking_number}
        await self._notify(tx, event, Kind.ORDER_SHIPPED, **words)

    async def order_cancelled(self, tx: Connection, event: Event[OrderCancelled]) -> None:
        """Publishes that an order ended without a sale, and notifies the customer."""
        await self._publish(tx, event, "order.cancelled")
        await self._notify(tx, event, Kind.ORDER_CANCELLED, why=_WHY.get(_order(event).cancel_reason, ""))

    async def _publish(self, tx: Connection, event: Event[Any], event_type: str) -> None:
        uid = notification_uid(event.source, event.id)
        await self._webhooks.publish(tx, uid, event_type, event.time, _order(event))

    async def _notify(self, tx: Connection, event: Event[Any], kind: Kind, **values: str) -> None:
        order = _order(event)
        uid = notification_uid(event.source, event.id)
        await self._notifier.notify(tx, uid, order.customer, kind, resource=order.name, **_words(order), **values)


def _order(event: Event[Any]) -> Order:
    """Returns the order in an event. Raises ValueError if there is none: the event becomes a dead letter."""
    order: Order | None = event.data.order
    if order is None:
        raise ValueError("the event has no order")
    return order


def _words(order: Order) -> dict[str, str]:
    lines = "\n".join(f"  {line.quantity} x {line.title}: {amount(line.amount)}" for line in order.lines)
    return {"number": order_number(order.name), "lines": lines, "total": amount(order.total)}
