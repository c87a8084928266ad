"""The consumers of events: an order follows its reservation, its payment, and its customer."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.inventory.v1.events_pb import StockRejected, StockReserved
from meshwright.inventory.v1.inventory_pb import Reservation
from meshwright.payments.v1.events_pb import PaymentCaptured, PaymentFailed, PaymentHeld, PaymentRefunded
from meshwright.payments.v1.payments_pb import Payment
from protobuf import Message

from mesh.database import Connection, Database
from mesh.events import Broker, Event, Inbox
from mesh.events.inbox import Handler
from mesh.idempotency import forget_caller
from mesh.resource_name import uid_in
from services.orders import erasure_storage, saga, storage
from services.orders.domain import NAME_PREFIX, Order
from services.orders.outcomes import after_payment, after_refund, after_reservation

log = structlog.get_logger()


def inbox(database: Database, broker: Broker) -> Inbox:
    """Returns the inbox that runs the handlers, each erasure in a transaction of its own: in a batch, it would lock its
    customer after the orders of other events, and keep those locked for long.
    """
    return Inbox(database, broker, service=saga.SOURCE, handlers=handlers(), separate={UserDeleted})


def handlers() -> Mapping[type[Message], Handler]:
    """Returns the handler of each event, for the inbox."""
    return {
        StockReserved: stock_reserved,
        StockRejected: stock_rejected,
        PaymentHeld: payment_changed,
        PaymentCaptured: payment_changed,
        PaymentFailed: payment_changed,
        PaymentRefunded: payment_refunded,
        UserDeleted: user_deleted,
    }


async def stock_reserved(tx: Connection, event: Event[StockReserved]) -> None:
    """Requests the payment of an order whose products are reserved."""
    reservation = event.data.reservation or Reservation()
    await _change(tx, event, reservation.order, lambda order, now: after_reservation(order, reservation, now))


async def stock_rejected(tx: Connection, event: Event[StockRejected]) -> None:
    """Cancels an order whose products are not, or no longer, reserved."""
    reservation, missing = event.data.reservation or Reservation(), bool(event.data.shortages)
    await _change(
        tx, event, reservation.order, lambda order, now: after_reservation(order, reservation, now, missing=missing)
    )


async def payment_changed(tx: Connection, event: Event[PaymentHeld | PaymentCaptured | PaymentFailed]) -> None:
    """Confirms an order that is paid, cancels it if its payment failed, or waits for the review of the payment."""
    payment = event.data.payment or Payment()
    await _change(tx, event, payment.order, lambda order, now: after_payment(order, payment, now))


async def payment_refunded(tx: Connection, event: Event[PaymentRefunded]) -> None:
    """Records how much of an order is refunded."""
    payment = event.data.payment or Payment()
    await _change(tx, event, payment.order, lambda order, now: after_refund(order, payment, now))


async def user_deleted(tx: Connection, event: Event[UserDeleted]) -> None:
    """Cancels the pending orders of a customer, and removes the customer's name where no sale has to be accounted
    for, and from later events about sales. A member of staff is removed from the history of all orders.
    """
    customer = event.data.user
    await erasure_storage.ERASED_CUSTOMERS.lock(tx, customer)
    await erasure_storage.ERASED_CUSTOMERS.add(tx, customer)
    for uid in await erasure_storage.lock_unsold(tx, customer):
        order = await storage.find(tx, uid)
        assert order is not None, "orders are never deleted"
        await saga.change(tx, order, order.delete_customer(datetime.now(UTC)), event.source)
    await erasure_storage.anonymise(tx, customer)
    await erasure_storage.mark_sold(tx, customer)
    await erasure_storage.forget_staff(tx, customer)
    await forget_caller(tx, customer)
    log.info("customer deleted")


async def _change(tx: Connection, event: Event[Any], name: str, change: Callable[[Order, datetime], Order]) -> None:
    """Changes an order by an event. One that no longer applies, because it is late or was overtaken, has no effect."""
    uid = uid_in(name, NAME_PREFIX)
    order = await storage.find(tx, uid, lock=True) if uid else None
    if order is None:
        log.warning("event about an order that does not exist", order=name)
        return
    changed = change(order, datetime.now(UTC))
    await saga.change(tx, order, changed, event.source)
    log.info("order", order=order.name, state=changed.state.value, changed=changed is not order)
