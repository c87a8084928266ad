"""Charges and their cancellation. Calls and events take these same steps, all of which can be repeated."""

from datetime import datetime
from uuid import uuid4

from mesh.database import Connection
from mesh.errors import FailedPrecondition
from mesh.money import Money
from services.payments import refund_storage, storage
from services.payments.domain import Payment, State
from services.payments.events import publish_failed

CANCELLED_REASON = "The order was cancelled."


async def charge(
    tx: Connection, order: str, customer: str, payment_method: str, amount: Money, now: datetime
) -> Payment:
    """Begins the payment for an order; returns the one that there is already. Raises FailedPrecondition if the payment
    of the order was cancelled before there was one.
    """
    await storage.lock_order(tx, order)
    await storage.ERASED_CUSTOMERS.lock(tx, customer, shared=True)
    standing = await storage.standing(tx, order, customer)
    if standing.payment is not None:
        return await storage.get(tx, standing.payment)
    if standing.is_cancelled:
        raise FailedPrecondition(
            f"The payment of {order} is cancelled.", reason="PAYMENT_STATE", metadata={"state": State.CANCELLED.name}
        )
    if standing.is_erased:
        customer = ""
    payment = Payment.begin(uuid4(), order, customer, payment_method, amount, now)
    await storage.insert(tx, payment)
    return payment


async def cancel(tx: Connection, order: str, now: datetime) -> Payment | None:
    """Ends the payment of an order, and pays back what was captured. Returns None if there is none."""
    await storage.lock_order(tx, order)
    payment = await storage.lock_of_order(tx, order)
    if payment is None:
        await storage.mark_cancelled(tx, order, now)
        return None
    if payment.state is State.CAPTURED:
        await refund_rest(tx, payment, now)
        return payment
    cancelled = payment.cancel(now)
    if cancelled is not payment:
        await storage.update(tx, cancelled)
    return cancelled


async def review(tx: Connection, payment: Payment, reviewer: str, *, approve: bool, now: datetime) -> Payment:
    """Decides on a payment that the risk check has flagged, which must be locked. Raises FailedPrecondition if it does
    not wait for a decision.
    """
    decided = payment.review(reviewer, approve=approve, now=now)
    if decided is not payment:
        await storage.update(tx, decided)
        if decided.state is State.FAILED:
            await publish_failed(tx, decided)
    return decided


async def refund(
    tx: Connection, payment: Payment, amount: Money | None, reason: str, now: datetime, *, actor: str = ""
) -> None:
    """Pays back an amount of a payment, which must be locked, or the rest if no amount is given. `actor` is the member
    of staff who decided on that. Raises FailedPrecondition, or InvalidArgument for an invalid amount.
    """
    amount = payment.check_refund(amount, await _promised(tx, payment))
    await refund_storage.insert(tx, refund_storage.Refund(uuid4(), payment.uid, amount, reason, actor), now)
    await storage.update(tx, payment)


async def refund_rest(tx: Connection, payment: Payment, now: datetime) -> None:
    """Pays back all that is left of a captured payment, which must be locked."""
    if payment.left(await _promised(tx, payment)):
        await refund(tx, payment, None, CANCELLED_REASON, now)


async def _promised(tx: Connection, payment: Payment) -> int:
    """Returns the hundredths that the provider has yet to pay back."""
    return sum(each.amount.hundredths for each in await refund_storage.list_open(tx, payment))
