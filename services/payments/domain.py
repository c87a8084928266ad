"""The rules of payments: what follows from what the provider answers, and the postings of the ledger."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self, TypedDict
from uuid import UUID

from mesh.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from mesh.money import Money
from mesh.resource_name import uid_in

NAME_PREFIX: Final = "payments/"


class State(enum.Enum):
    """The state of a payment."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    IN_REVIEW = "in_review"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELLED = "cancelled"


OPEN: Final = frozenset({State.PENDING, State.AUTHORIZED, State.IN_REVIEW})
"""The states in which nothing is captured, and something still can be."""

_UNDECIDED: Final = frozenset({State.PENDING, State.AUTHORIZED})
"""The states in which the provider has the next word."""


class Failure(enum.Enum):
    """The reason for which a payment failed."""

    NONE = ""
    DECLINED = "declined"
    UNKNOWN_METHOD = "unknown_method"
    RISK = "risk"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule of the risk check that a payment breaks."""

    rule: str
    explanation: str


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who acts on payments: a customer reads their own, staff all."""

    subject: str
    staff: bool = False


class _Change(TypedDict):
    """The fields that change with every change of a payment."""

    update_time: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Payment:
    """The payment for an order. `captured` is zero or the amount; `refunded` is at most what was captured.

    While `cancel_requested` is set, the provider is asked to void the charge. An open payment is cancelled afterwards;
    one that has failed meanwhile stays so. If it turns out that the charge is captured, the payment becomes so too, and
    all of it is to be paid back. It keeps the reason of its failure, so that nobody takes it for paid.
    """

    uid: UUID
    order: str
    customer: str
    payment_method: str
    amount: Money
    captured: Money
    refunded: Money
    state: State
    failure: Failure
    cancel_requested: bool
    findings: tuple[Finding, ...]
    create_time: datetime
    update_time: datetime
    version: int
    reviewer: str = ""

    @classmethod
    def begin(cls, uid: UUID, order: str, customer: str, payment_method: str, amount: Money, now: datetime) -> Self:
        """Returns a new payment, for which the provider was not asked yet."""
        nothing = replace(amount, hundredths=0)
        return cls(
            uid,
            order,
            customer,
            payment_method,
            amount,
            captured=nothing,
            refunded=nothing,
            state=State.PENDING,
            failure=Failure.NONE,
            cancel_requested=False,
            findings=(),
            create_time=now,
            update_time=now,
            version=1,
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
    def waits_for_provider(self) -> bool:
        """Returns whether the provider is to be asked, not counting refunds."""
        return self.cancel_requested or self.state in _UNDECIDED

    def is_overdue(self, limit: timedelta, now: datetime) -> bool:
        """Returns whether the provider has left the payment undecided for longer than the limit."""
        return self.state in _UNDECIDED and not self.cancel_requested and now - self.update_time > limit

    def authorized(self, findings: Sequence[Finding], now: datetime) -> Self:
        """Returns the payment after the provider has authorised it: in review if the risk check found something."""
        if self.state is not State.PENDING or self.cancel_requested:
            return self
        state = State.IN_REVIEW if findings else State.AUTHORIZED
        return replace(self, state=state, findings=tuple(findings), **self._next(now))

    def declined(self, failure: Failure, now: datetime) -> Self:
        """Returns the payment after the provider has declined it."""
        if self.state is not State.PENDING:
            return self
        return replace(self, state=State.FAILED, failure=failure, cancel_requested=False, **self._next(now))

    def capture(self, now: datetime) -> Self:
        """Returns the payment after the provider has captured it."""
        if self.state not in OPEN and not self.cancel_requested:
            return self
        return replace(
            self,
            state=State.CAPTURED,
            cancel_requested=False,
            captured=self.amount,
            **self._next(now),
        )

    def voided(self, now: datetime) -> Self:
        """Returns the payment after the provider has voided it: it can't be captured any more. It is declined if nobody
        has requested that.
        """
        if self.state in OPEN and not self.cancel_requested:
            return replace(self, state=State.FAILED, failure=Failure.DECLINED, **self._next(now))
        if not self.cancel_requested:
            return self
        state = State.CANCELLED if self.state in OPEN else self.state
        return replace(self, state=state, cancel_requested=False, **self._next(now))

    def cancel(self, now: datetime) -> Self:
        """Requests that an open payment is voided, because its order was cancelled."""
        if self.state not in OPEN or self.cancel_requested:
            return self
        return replace(self, cancel_requested=True, **self._next(now))

    def time_out(self, limit: timedelta, now: datetime) -> Self:
        """Returns the payment after it was left undecided for longer than the limit: failed, and to be voided."""
        return self._fail(Failure.TIMED_OUT, now) if self.is_overdue(limit, now) else self

    def review(self, reviewer: str, *, approve: bool, now: datetime) -> Self:
        """Returns the payment after the decision by a member of staff; itself if the same was decided before. Raises
        FailedPrecondition if it does not wait for a decision.
        """
        if self.state is State.IN_REVIEW and not self.cancel_requested:
            decided = replace(self, reviewer=reviewer)
            if approve:
                return replace(decided, state=State.AUTHORIZED, **self._next(now))
            return decided._fail(Failure.RISK, now)
        approved = bool(self.findings) and self.state in {State.AUTHORIZED, State.CAPTURED}
        if approved if approve else self.failure is Failure.RISK:
            return self
        raise self._wrong_state("does not wait for a decision")

    def left(self, promised: int) -> int:
        """Returns the hundredths that can still be refunded, besides the promised ones."""
        return self.captured.hundredths - self.refunded.hundredths - promised

    def check_refund(self, amount: Money | None, promised: int) -> Money:
        """Returns the amount to refund, all that is left if it is not given. `promised` are the hundredths of refunds
        that the provider has yet to make. Raises FailedPrecondition, or InvalidArgument for an amount that is none.
        """
        if self.state is not State.CAPTURED:
            raise self._wrong_state("is not captured")
        left = self.left(promised)
        wanted = amount or replace(self.amount, hundredths=left)
        if wanted.currency != self.amount.currency or (amount is not None and wanted.hundredths <= 0):
            description = f"must be more than zero, in {self.amount.currency}"
            violation = FieldViolation("amount", description, "AMOUNT")
            raise InvalidArgument(f"amount: {description}.", reason="INVALID_FIELD", violations=[violation])
        if not 0 < wanted.hundredths <= left:
            raise FailedPrecondition(
                f"Only {left / 100:.2f} {self.amount.currency} of the payment are left to refund.",
                reason="REFUND_EXCEEDS_PAYMENT",
                metadata={"left_hundredths": str(left)},
            )
        return wanted

    def refund(self, amount: Money, now: datetime) -> Self:
        """Returns the payment after the provider has paid back this amount."""
        return replace(self, refunded=self.refunded + amount, **self._next(now))

    def _fail(self, failure: Failure, now: datetime) -> Self:
        return replace(self, state=State.FAILED, failure=failure, cancel_requested=True, **self._next(now))

    def _next(self, now: datetime) -> _Change:
        return {"update_time": now, "version": self.version + 1}

    def _wrong_state(self, why: str) -> FailedPrecondition:
        is_ending = self.cancel_requested and self.state in OPEN
        return FailedPrecondition(
            f"The payment {why}: it is {'being cancelled' if is_ending else self.state.value.replace('_', ' ')}.",
            reason="PAYMENT_STATE",
            metadata={"state": self.state.name},
        )


class Account(enum.Enum):
    """An account of the ledger."""

    PROVIDER = "provider"  # what the provider owes the shop
    SALES = "sales"
    REFUNDS = "refunds"


def capture_posting(amount: Money) -> dict[Account, Money]:
    """Returns the entries for a captured amount, none for nothing. A debit is positive."""
    return _posting(debit=Account.PROVIDER, credit=Account.SALES, amount=amount)


def refund_posting(amount: Money) -> dict[Account, Money]:
    """Returns the entries for an amount that was paid back."""
    return _posting(debit=Account.REFUNDS, credit=Account.PROVIDER, amount=amount)


def _posting(*, debit: Account, credit: Account, amount: Money) -> dict[Account, Money]:
    return {debit: amount, credit: amount * -1} if amount.hundredths else {}


def uid_of(name: str) -> UUID:
    """Returns the identifier in a payment's name. Raises NotFound if no payment can have this name."""
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise _not_found(name)
    return uid


def visible_to(actor: Actor, name: str, payment: Payment | None) -> Payment:
    """Returns the payment if this actor may see it. Raises NotFound, with the same message if the payment does not
    exist or is somebody else's.
    """
    if payment is None or not (actor.staff or payment.customer == actor.subject):
        raise _not_found(name)
    return payment


def _not_found(name: str) -> NotFound:
    return NotFound(f"The payment {name} does not exist.", reason="PAYMENT_NOT_FOUND")
