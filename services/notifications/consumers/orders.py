"""The consumers of events about orders."""

from typing import Any

from googleapis.google.type.money_pb import Money
from meshwright.orders.v1.events_pb import OrderCancelled
from meshwright.orders.v1.orders_pb import Order
from protobuf import Message

from mesh.database import Connection
from mesh.events import Event
from mesh.events.inbox import Handler
from mesh.money_message import money_of
from services.notifications.domain.notification import Kind, notification_uid
from services.notifications.notifier import Notifier


class OrderConsumers:
    """The handlers of events about orders: they notify the customer."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def handlers(self) -> dict[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {OrderCancelled: self.order_cancelled}

    async def order_cancelled(self, tx: Connection, event: Event[OrderCancelled]) -> None:
        """Notifies the customer that the order ended without a sale."""
        await self._notify(tx, event, _order(event.data.order), Kind.ORDER_CANCELLED)

    async def _notify(self, tx: Connection, event: Event[Any], order: Order, kind: Kind, **values: str) -> None:
        uid = notification_uid(event.source, event.id)
        await self._notifier.notify(tx, uid, order.customer, kind, resource=order.name, **_words(order), **values)


def _order(order: Order | None) -> Order:
    """Returns the order in an event. Raises ValueError if there is none: the event becomes a dead letter."""
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
