"""The saga of an order: what is written and published when an order changes, whoever changes it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped, PaymentRequested
from protobuf import Message

from mesh.database import Connection
from mesh.events import publish
from services.orders import storage
from services.orders.domain import CancelReason, Order, PendingStep, State
from services.orders.messages import order_message

SOURCE: Final = "orders"

_REASONS: Final[Mapping[State | PendingStep | CancelReason, str]] = {
    PendingStep.STOCK: "The order was placed.",
    PendingStep.PAYMENT: "The products are reserved.",
    PendingStep.PAYMENT_REVIEW: "The payment was flagged by the risk check.",
    State.CONFIRMED: "The payment was captured.",
    State.SHIPPED: "The products left.",
    CancelReason.CUSTOMER: "The customer cancelled the order.",
    CancelReason.STAFF: "Staff cancelled the order.",
    CancelReason.OUT_OF_STOCK: "There are not enough products in stock.",
    CancelReason.PAYMENT_FAILED: "The payment failed.",
    CancelReason.TIMED_OUT: "A step took longer than its limit.",
    CancelReason.CUSTOMER_DELETED: "The customer's account was deleted.",
}


async def begin(tx: Connection, order: Order) -> None:
    """Inserts a new order, and publishes that it was placed."""
    await storage.insert(tx, order, _reason(order))
    await _publish(tx, order)


async def change(tx: Connection, before: Order, after: Order, actor: str) -> None:
    """Writes an order whose row is locked, if it was changed. A change of its state or pending step is recorded with
    its actor, and published. `actor` is the name of a user or of a service.
    """
    if after is before:
        return
    if (after.state, after.pending_step) == (before.state, before.pending_step):
        await storage.update(tx, after)
        return
    await storage.update(tx, after, actor=actor, reason=_reason(after))
    await _publish(tx, after)


def _reason(order: Order) -> str:
    """Returns why an order has just come to this state and step."""
    return _REASONS[order.cancel_reason or order.pending_step or order.state]


async def _publish(tx: Connection, order: Order) -> None:
    if (event := _event(order)) is not None:
        await publish(tx, event, source=SOURCE, aggregate=order.name)


def _event(order: Order) -> Message | None:
    """Returns the event of an order that has just come to this state and step, None if nobody has to act on it. It does
    not name a deleted customer: its consumers have erased the name, and remember for some weeks only that they did.
    """
    message = order_message(replace(order, customer="") if order.customer_deleted else order)
    match order.state, order.pending_step:
        case State.PENDING, PendingStep.STOCK:
            return OrderPlaced(order=message)
        case State.PENDING, PendingStep.PAYMENT:
            return PaymentRequested(order=message)
        case State.CONFIRMED, _:
            return OrderConfirmed(order=message)
        case State.CANCELLED, _:
            return OrderCancelled(order=message)
        case State.SHIPPED, _:
            return OrderShipped(order=message)
        case _:
            return None
