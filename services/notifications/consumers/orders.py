"""The consumers of events about orders."""

from typing import Any

from googleapis.google.type.money_pb import Money
from meshwright.orders.v1.events_pb import OrderCancelled, OrderPlaced
from meshwright.orders.v1.orders_pb import Order
from protobuf import Message

from mesh.database import Connection
from mesh.events import Event
from mesh.events.inbox import Handler
from mesh.money_message import money_of
from services.notifications.domain.notification import Kind, notification_uid
from services.notifications.notifier import Notifier
from services.notifications.webhook_publisher import WebhookPublisher


class OrderConsumers:
    """The handlers of events about orders: they notify the customer, and publish webhooks."""

    def __init__(self, notifier: Notifier, webhooks: WebhookPublisher) -> None:
        self._notifier = notifier
        self._webhooks = webhooks

    def handlers(self) -> dict[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {OrderPlaced: self.order_placed, OrderCancelled: self.order_cancelled}

    async def order_placed(self, tx: Connection, event: Event[OrderPlaced]) -> None:
        """Publishes that an order was placed. The customer is notified once it is confirmed or cancelled."""
        await self._publish(tx, event, "order.placed")

    async def order_cancelled(self, tx: Connection, event: Event[OrderCancelled]) -> None:
        """Publishes that an order ended without a sale, and notifies the customer."""
        await self._publish(tx, event, "order.cancelled")
        await self._notify(tx, event, Kind.ORDER_CANCELLED)

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
    if order is None or not order.customer:
        raise ValueError("the event has no order of a customer")
    return order


def _words(order: Order) -> dict[str, str]:
    """Returns the values of templates about orders."""
    lines = "\n".join(f"  {line.quantity} x {line.title}: {_amount(line.amount)}" for line in order.lines)
    return {"number": order.uid[:8], "lines": lines, "total": _amount(order.total)}


def _amount(money: Money | None) -> str:
    amount = money_of(money or Money())
    units, hundredths = divmod(amount.hundredths, 100)
    return f"{units}.{hundredths:02} {amount.currency}"
