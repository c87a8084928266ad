"""The effects of reservations and payments on their orders, whether an event or the response to a call brings them."""

from datetime import datetime

from googleapis.google.type.money_pb import Money
from meshwright.inventory.v1.inventory_pb import Reservation
from meshwright.payments.v1.payments_pb import Payment

from mesh.money_message import money_of
from services.orders.domain import Order


def after_reservation(order: Order, reservation: Reservation, now: datetime, *, missing: bool = False) -> Order:
    """Returns the order after a change of its reservation. `missing` is true if an expired one could not be renewed."""
    match reservation.state:
        case Reservation.State.RESERVED:
            return order.reserve_stock(now)
        case Reservation.State.REJECTED:
            return order.reject_stock(now)
        case Reservation.State.EXPIRED:
            return order.reject_stock(now) if missing else order.expire_stock(now)
        case _:
            return order


def after_payment(order: Order, payment: Payment, now: datetime) -> Order:
    """Returns the order after its payment has become as it is. One that was captured after it failed is paid back: the
    response to a call can bring it before the event of its failure arrives.
    """
    match payment.state:
        case Payment.State.IN_REVIEW:
            return order.hold_payment(payment.name, now)
        case Payment.State.CAPTURED:
            change = order.fail_payment if payment.failure else order.capture_payment
            return after_refund(change(payment.name, now), payment, now)
        case Payment.State.FAILED:
            return order.fail_payment(payment.name, now)
        case _:
            return order


def after_refund(order: Order, payment: Payment, now: datetime) -> Order:
    """Returns the order after the refund that the payment shows."""
    return order.refund_payment(payment.name, money_of(payment.refunded or Money()), now)
