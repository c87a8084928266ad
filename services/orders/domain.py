"""The rules of orders: visibility, and transitions between states and pending steps."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

from mesh.errors import FailedPrecondition, NotFound
from mesh.etag import check_etag
from mesh.money import Money
from mesh.resource_name import uid_in

NAME_PREFIX: Final = "orders/"
SHIPMENT_EVENTS_MAX: Final = 100

RETRY_AGE_MAX: Final = timedelta(days=1)
"""The age of an order from which a step is not retried: customers no longer expect to be charged for it."""

LEASE: Final = timedelta(seconds=30)
"""The time for which a process has the order that it gives up to itself: longer than it takes to ask for the payment
and to write the end. It does not depend on the limit of a step, which may be a second or days.
"""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A line of an order, with the title and price that the product had when the order was placed."""

    product: str
    title: str
    quantity: int
    unit_price: Money

    @property
    def amount(self) -> Money:
        """Returns the price of the line."""
        return self.unit_price * self.quantity


class State(enum.Enum):
    """The state of an order."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    SHIPPED = "shipped"

    @property
    def final(self) -> bool:
        """Returns whether no other state can follow."""
        return not _TRANSITIONS[self]


# The allowed transitions between states, the same for calls of customers and for events of the saga.
_TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.CONFIRMED, State.CANCELLED}),
    State.CONFIRMED: frozenset({State.CANCELLED, State.SHIPPED}),
    State.CANCELLED: frozenset(),
    State.SHIPPED: frozenset(),
}


class PendingStep(enum.Enum):
    """The step that a pending order waits for."""

    STOCK = "stock"
    PAYMENT = "payment"
    PAYMENT_REVIEW = "payment_review"


_PAYMENT_STEPS = frozenset({PendingStep.PAYMENT, PendingStep.PAYMENT_REVIEW})


@dataclass(frozen=True, slots=True)
class Limits:
    """The time for which an order may wait for each step."""

    stock: timedelta
    payment: timedelta
    payment_review: timedelta

    def of(self, step: PendingStep) -> timedelta:
        """Returns the limit of a step."""
        return {
            PendingStep.STOCK: self.stock,
            PendingStep.PAYMENT: self.payment,
            PendingStep.PAYMENT_REVIEW: self.payment_review,
        }[step]


@dataclass(frozen=True, slots=True)
class Wait:
    """A pending order's wait for a step. Its limit counts from `retry_time`, which is None until the step is retried or
    the order is given up.
    """

    step: PendingStep
    since: datetime
    retry_time: datetime | None = None

    def is_as(self, other: "Wait | None") -> bool:
        """Returns whether the other one is the same wait, however often it was retried."""
        return other is not None and (self.step, self.since) == (other.step, other.since)


class CancelReason(enum.Enum):
    """The reason for which an order was cancelled."""

    CUSTOMER = "customer"
    STAFF = "staff"
    OUT_OF_STOCK = "out_of_stock"
    PAYMENT_FAILED = "payment_failed"
    TIMED_OUT = "timed_out"
    CUSTOMER_DELETED = "customer_deleted"


class ShipmentEventKind(enum.Enum):
    """The kind of what a carrier reports."""

    IN_TRANSIT = "in_transit"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    RETURNED = "returned"


@dataclass(frozen=True, slots=True)
class ShipmentEvent:
    """A carrier's report about a shipment."""

    kind: ShipmentEventKind
    description: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Shipment:
    """The shipment of an order, with its events in the order in which they were recorded."""

    carrier: str
    tracking_number: str
    ship_time: datetime
    events: tuple[ShipmentEvent, ...] = ()

    def is_as(self, other: "Shipment") -> bool:
        """Returns whether the other one has the same carrier and number."""
        return (self.carrier, self.tracking_number) == (other.carrier, other.tracking_number)


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who acts on orders: a customer on their own, staff on all."""

    subject: str
    staff: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """An order. All its lines have the same currency; `version` grows by 1 with every change. `wait` is None unless the
    order is pending. If `customer_deleted`, the order keeps the name of its customer for the accounts only.

    Methods about what other services report return the order itself if that changes nothing, which is no error: events
    arrive late and more than once.
    """

    uid: UUID
    customer: str
    lines: tuple[OrderLine, ...]
    state: State
    create_time: datetime
    update_time: datetime
    version: int
    payment_method: str = ""
    wait: Wait | None = None
    cancel_reason: CancelReason | None = None
    payment: str = ""
    refunded: Money | None = None
    shipment: Shipment | None = None
    customer_deleted: bool = False

    @classmethod
    def place(
        cls, uid: UUID, customer: str, lines: tuple[OrderLine, ...], now: datetime, payment_method: str = ""
    ) -> Self:
        """Returns a new order with priced lines, which waits for stock."""
        return cls(
            uid,
            customer,
            lines,
            State.PENDING,
            create_time=now,
            update_time=now,
            version=1,
            payment_method=payment_method,
            wait=Wait(PendingStep.STOCK, since=now),
        )

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    @property
    def total(self) -> Money:
        """Returns the total price of all lines."""
        first, *others = (line.amount for line in self.lines)
        return sum(others, start=first)

    @property
    def pending_step(self) -> PendingStep | None:
        """Returns what the order waits for, None if it is not pending."""
        return None if self.wait is None else self.wait.step

    def reserve_stock(self, now: datetime) -> Self:
        """Returns the order after its products were reserved: it waits for the payment."""
        if self.pending_step is not PendingStep.STOCK:
            return self
        return self._wait_for(PendingStep.PAYMENT, now)

    def reject_stock(self, now: datetime) -> Self:
        """Returns the order after it turned out that products are missing. A paid one is cancelled, too: its
        reservation had expired, and could not be made again.
        """
        if State.CANCELLED not in _TRANSITIONS[self.state]:
            return self
        return self._cancel(CancelReason.OUT_OF_STOCK, now)

    def expire_stock(self, now: datetime) -> Self:
        """Returns the order after its reservation expired. One whose payment is under review, or paid, goes on: its
        products are reserved again when it is confirmed, and rejected if that fails.
        """
        if self.pending_step not in (PendingStep.STOCK, PendingStep.PAYMENT):
            return self
        return self._cancel(CancelReason.TIMED_OUT, now)

    def hold_payment(self, payment: str, now: datetime) -> Self:
        """Returns the order after its payment was flagged: it waits for a decision by staff."""
        if self.pending_step is not PendingStep.PAYMENT:
            return self
        return replace(self._wait_for(PendingStep.PAYMENT_REVIEW, now), payment=payment)

    def capture_payment(self, payment: str, now: datetime) -> Self:
        """Returns the order after it was paid. One that is cancelled stays so: payments refunds what it captured."""
        if self.pending_step not in _PAYMENT_STEPS:
            return self
        return replace(self._move_to(State.CONFIRMED, now), payment=payment)

    def fail_payment(self, payment: str, now: datetime) -> Self:
        """Returns the order after its payment failed."""
        if self.pending_step not in _PAYMENT_STEPS:
            return self
        return replace(self._cancel(CancelReason.PAYMENT_FAILED, now), payment=payment)

    def refund_payment(self, payment: str, refunded: Money, now: datetime) -> Self:
        """Returns the order after a refund. `refunded` is the sum of all refunds so far, which never decreases."""
        if refunded.hundredths <= (self.refunded.hundredths if self.refunded else 0):
            return self
        return replace(self._changed(now), payment=payment, refunded=refunded)

    def cancel(self, actor: Actor, etag: str, now: datetime) -> Self:
        """Returns the order cancelled by its customer or by staff; itself if it is cancelled already.

        In that case a stale etag is ignored: the call is probably a repetition whose first response was lost. Raises
        Aborted if `etag` is given and stale, FailedPrecondition if the order can no longer be cancelled.
        """
        if self.state is State.CANCELLED:
            return self
        self._check_etag(etag)
        return self._cancel(CancelReason.CUSTOMER if actor.subject == self.customer else CancelReason.STAFF, now)

    def delete_customer(self, now: datetime) -> Self:
        """Returns the order after its customer's account was deleted: a pending one is cancelled."""
        if self.state is not State.PENDING:
            return self
        return self._cancel(CancelReason.CUSTOMER_DELETED, now)

    def ship(self, shipment: Shipment, etag: str, now: datetime) -> Self:
        """Returns the shipped order; itself if it is shipped so already, as cancel() does.

        Raises Aborted if `etag` is given and stale, FailedPrecondition if the order is not confirmed, or is shipped by
        another shipment.
        """
        if self.shipment is not None and self.shipment.is_as(shipment):
            return self
        self._check_etag(etag)
        return replace(self._move_to(State.SHIPPED, now), shipment=shipment)

    def record_shipment_event(self, event: ShipmentEvent, now: datetime) -> Self:
        """Returns the order after its carrier has reported this. Raises FailedPrecondition if the order is not shipped,
        or if that is one event too many.
        """
        if self.shipment is None:
            raise FailedPrecondition(
                f"The order is {self.state.value}, so it has no shipment.",
                reason="ORDER_STATE",
                metadata={"state": self.state.name},
            )
        if len(self.shipment.events) >= SHIPMENT_EVENTS_MAX:
            raise FailedPrecondition(
                f"The shipment has {SHIPMENT_EVENTS_MAX} events, which is the limit.", reason="SHIPMENT_FULL"
            )
        shipment = replace(self.shipment, events=(*self.shipment.events, event))
        return replace(self._changed(now), shipment=shipment)

    def can_retry(self, now: datetime) -> bool:
        """Returns whether the step that a pending order waits for too long is to be retried. That is done once, and not
        for a decision by staff, which no retry brings about.
        """
        wait = self.wait
        return (
            wait is not None
            and wait.retry_time is None
            and wait.step is not PendingStep.PAYMENT_REVIEW
            and now - self.create_time <= RETRY_AGE_MAX
        )

    def retry(self, now: datetime) -> Self:
        """Returns the pending order with its step being retried. For its readers it does not change."""
        assert self.wait is not None, "only a pending order is retried"
        return replace(self, wait=replace(self.wait, retry_time=now))

    def give_up(self, limit: timedelta, now: datetime) -> Self:
        """Returns the pending order taken to be cancelled, as if it had been retried when its limit is exceeded again
        after LEASE, should that fail.
        """
        return self.retry(now - limit + LEASE)

    def time_out(self, now: datetime) -> Self:
        """Returns the order after it has waited for too long."""
        if self.state is not State.PENDING:
            return self
        return self._cancel(CancelReason.TIMED_OUT, now)

    def _check_etag(self, etag: str) -> None:
        check_etag(etag, self.etag, "The order has changed since it was read. Read it again before you change it.")

    def _cancel(self, reason: CancelReason, now: datetime) -> Self:
        return replace(self._move_to(State.CANCELLED, now), cancel_reason=reason)

    def _move_to(self, target: State, now: datetime) -> Self:
        if target not in _TRANSITIONS[self.state]:
            raise FailedPrecondition(
                f"The order is {self.state.value}, so it can't become {target.value}.",
                reason="ORDER_STATE",
                metadata={"state": self.state.name},
            )
        return replace(self._changed(now), state=target, wait=None)

    def _wait_for(self, step: PendingStep, now: datetime) -> Self:
        changed = self._changed(now)
        return replace(changed, wait=Wait(step, since=changed.update_time))

    def _changed(self, now: datetime) -> Self:
        """Returns the order's next version. Times never decrease, whichever clock `now` is from."""
        return replace(self, update_time=max(now, self.update_time), version=self.version + 1)


def uid_of(name: str) -> UUID:
    """Returns the identifier in an order's name. Raises NotFound if no order can have this name."""
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise _not_found(name)
    return uid


def visible_to(actor: Actor, name: str, order: Order | None) -> Order:
    """Returns the order if this actor may see it. Raises NotFound, with the same message if the order does not exist
    or belongs to somebody else.
    """
    if order is None or not (actor.staff or order.customer == actor.subject):
        raise _not_found(name)
    return order


def _not_found(name: str) -> NotFound:
    return NotFound(f"The order {name} does not exist.", reason="ORDER_NOT_FOUND")
