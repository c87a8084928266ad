"""The rules of payments: every sequence of what a provider answers and people decide keeps the books right."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh.errors import FailedPrecondition
from mesh.money import Money
from services.payments.domain import (
    OPEN,
    Account,
    Failure,
    Finding,
    Payment,
    State,
    capture_posting,
    refund_posting,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIMIT = timedelta(minutes=2)
PRICE = Money("EUR", 2_599)
FINDING = Finding("AMOUNT", "It is a lot.")


def payment(amount: Money = PRICE) -> Payment:
    """Returns a new payment."""
    return Payment.begin(UUID(int=7), "orders/1", "users/ada", "card_ok", amount, NOW)


def test_an_authorisation_after_a_cancellation_is_no_news() -> None:
    """The payment is not captured, nor shown to staff for a decision; it waits for the void."""
    cancelled = payment().cancel(NOW)
    assert cancelled.authorized([FINDING], NOW) is cancelled
    assert cancelled.waits_for_provider


@pytest.mark.parametrize("authorized", [False, True])
def test_the_limit_counts_from_the_last_answer(authorized: bool) -> None:
    """A payment whose outcome is unknown for longer fails, and is voided from then on."""
    began = NOW + LIMIT if authorized else NOW
    waiting = payment().authorized([], began) if authorized else payment()
    assert waiting.time_out(LIMIT, began + LIMIT) is waiting
    failed = waiting.time_out(LIMIT, began + LIMIT + timedelta(microseconds=1))
    assert (failed.state, failed.failure, failed.waits_for_provider) == (State.FAILED, Failure.TIMED_OUT, True)


@pytest.mark.parametrize("decided", ["held", "captured", "cancelled"])
def test_only_the_provider_times_out(decided: str) -> None:
    """Only waiting for the provider times out: reviews, captured payments and voids do not."""
    authorized = payment().authorized([FINDING] if decided == "held" else [], NOW)
    waiting = {"held": authorized, "captured": authorized.capture(NOW), "cancelled": authorized.cancel(NOW)}[decided]
    assert waiting.time_out(LIMIT, NOW + timedelta(days=1)) is waiting


def test_a_capture_that_turns_out_after_the_limit_counts() -> None:
    """The amount was taken: it can be paid back."""
    failed = payment().time_out(LIMIT, NOW + timedelta(hours=1))
    captured = failed.capture(NOW)
    assert (captured.state, captured.captured, captured.waits_for_provider) == (State.CAPTURED, PRICE, False)
    assert captured.check_refund(None, promised=0) == PRICE
    assert failed.voided(NOW).capture(NOW).state is State.FAILED


def test_a_capture_after_a_failure_shows_it() -> None:
    """A caller that reads the payment instead of its events must not take it for paid: all of it is paid back."""
    late = payment().time_out(LIMIT, NOW + timedelta(hours=1)).capture(NOW)
    assert (late.state, late.failure) == (State.CAPTURED, Failure.TIMED_OUT)
    assert payment().capture(NOW).failure is Failure.NONE
    assert payment().cancel(NOW).capture(NOW).failure is Failure.NONE


def test_an_authorisation_that_the_provider_ends_is_declined() -> None:
    """Nobody has requested it, so that the order has to hear of it."""
    ended = payment().authorized([], NOW).voided(NOW)
    assert (ended.state, ended.failure) == (State.FAILED, Failure.DECLINED)


def test_a_review_of_a_payment_that_is_being_cancelled_says_so() -> None:
    """Its state is still the one that waits for a decision, until the provider has answered."""
    held = payment().authorized([FINDING], NOW)
    with pytest.raises(
        FailedPrecondition, match=r"^The payment does not wait for a decision: it is being cancelled\.$"
    ):
        held.cancel(NOW).review("users/staff", approve=True, now=NOW)
    with pytest.raises(FailedPrecondition, match=r"^The payment is not captured: it is in review\.$"):
        held.check_refund(None, promised=0)


class Books(RuleBasedStateMachine):
    """A payment and its ledger, with a provider that does what it is asked and answers at any time, and a model: once
    nothing is pending, the provider holds exactly the amounts in the books.
    """

    @initialize(hundredths=st.integers(0, 500))
    def begin(self, hundredths: int) -> None:
        """Begins a payment."""
        self.payment = payment(Money("EUR", hundredths))
        self.now = NOW
        self.ledger = Counter[Account]()
        self.promised: list[int] = []
        self.order_cancelled = False
        self.failures_announced = 0
        self.provider = "nothing"  # then authorized, captured, or voided
        self.provider_paid_back = 0

    @rule(seconds=st.integers(0, 200))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    @rule(answered=st.booleans(), suspicious=st.booleans())
    def authorize(self, answered: bool, suspicious: bool) -> None:
        """The provider authorises a charge, which may remain unknown to the shop. It may arrive late, too."""
        if self.provider == "nothing":
            self.provider = "authorized"
        if answered and self.provider == "authorized":
            self._change(self.payment.authorized([FINDING] if suspicious else [], self.now))

    @rule(failure=st.sampled_from([Failure.DECLINED, Failure.UNKNOWN_METHOD]))
    def decline(self, failure: Failure) -> None:
        """The provider declines a charge that it has not authorised."""
        if self.provider == "nothing":
            self.provider = "voided"
            self._change(self.payment.declined(failure, self.now))

    @precondition(lambda self: self.payment.state is State.AUTHORIZED)
    @rule(answered=st.booleans())
    def capture(self, answered: bool) -> None:
        """Captures the amount at the provider, unless the charge was voided."""
        if self.provider == "authorized":
            self.provider = "captured"
        if answered:
            self._hear()

    @precondition(lambda self: self.payment.cancel_requested)
    @rule(answered=st.booleans())
    def void(self, answered: bool) -> None:
        """Voids a charge at the provider, unless it was captured."""
        if self.provider != "captured":
            self.provider = "voided"
        if answered:
            self._hear()

    @rule()
    def cancel(self) -> None:
        """The order is cancelled, again or for the first time."""
        self.order_cancelled = True
        if self.payment.state is State.CAPTURED:
            self._refund_rest()
        else:
            self._change(self.payment.cancel(self.now))

    @rule()
    def check_limit(self) -> None:
        """The worker looks at the clock."""
        self._change(self.payment.time_out(LIMIT, self.now))

    @rule(approve=st.booleans())
    def review(self, approve: bool) -> None:
        """Staff decide. Only a payment that waits for it can be decided on, and the same decision can be repeated."""
        before = self.payment
        try:
            self._change(before.review("users/staff", approve=approve, now=self.now))
        except FailedPrecondition:
            assert before.state is not State.IN_REVIEW or before.cancel_requested
        else:
            assert before.findings
            assert before.state in {State.IN_REVIEW, State.FAILED} or approve

    @rule(hundredths=st.one_of(st.none(), st.integers(1, 600)))
    def refund(self, hundredths: int | None) -> None:
        """Staff refund a part, or the rest. It is accepted if that much is left, and only then."""
        left = self._left() if self.payment.state is State.CAPTURED else 0
        wanted = left if hundredths is None else hundredths
        amount = None if hundredths is None else Money("EUR", hundredths)
        try:
            accepted = self.payment.check_refund(amount, sum(self.promised))
        except FailedPrecondition:
            assert wanted > left or left == 0
        else:
            assert 0 < accepted.hundredths == wanted <= left
            self.promised.append(wanted)

    @precondition(lambda self: self.promised)
    @rule()
    def pay_back(self) -> None:
        """The provider pays back the oldest refund."""
        hundredths = self.promised.pop(0)
        self.provider_paid_back += hundredths
        self.payment = self.payment.refund(Money("EUR", hundredths), self.now)
        self._post(refund_posting(Money("EUR", hundredths)))

    @invariant()
    def books_balance(self) -> None:
        """Checks that the accounts add up to zero and agree with the payment."""
        assert sum(self.ledger.values()) == 0
        assert -self.ledger[Account.SALES] == self.payment.captured.hundredths
        assert self.ledger[Account.REFUNDS] == self.payment.refunded.hundredths
        assert 0 <= self.payment.refunded.hundredths + sum(self.promised) <= self.payment.captured.hundredths

    @invariant()
    def provider_agrees(self) -> None:
        """No payment is captured that the provider has not captured. When nothing is left to ask, the provider holds
        what the books say, and nothing of an order that was cancelled or whose payment was announced as failed.
        """
        at_provider = self.payment.amount.hundredths if self.provider == "captured" else 0
        assert self.payment.captured.hundredths <= at_provider
        if self.payment.waits_for_provider or self.payment.state is State.IN_REVIEW or self.promised:
            return
        assert self.ledger[Account.PROVIDER] == at_provider - self.provider_paid_back
        if self.order_cancelled or self.failures_announced:
            assert self.ledger[Account.PROVIDER] == 0

    @invariant()
    def failures_are_announced_once(self) -> None:
        """A payment has the one failure that it announced. It keeps that if the charge turns out to be captured."""
        has_failed = self.payment.failure is not Failure.NONE
        assert self.failures_announced == has_failed
        assert self.payment.state in ({State.FAILED, State.CAPTURED} if has_failed else {*State} - {State.FAILED})

    def _hear(self) -> None:
        if self.provider == "captured":
            before, self.payment = self.payment, self.payment.capture(self.now)
            if self.payment is not before:
                self._post(capture_posting(self.payment.captured))
                if before.cancel_requested:
                    self._refund_rest()
        elif self.provider == "voided":
            self._change(self.payment.voided(self.now))

    def _change(self, after: Payment) -> None:
        assert after is self.payment or after.version == self.payment.version + 1
        assert self.payment.state in OPEN or after.state is self.payment.state
        if after.failure is not self.payment.failure:
            self.failures_announced += 1
        self.payment = after

    def _left(self) -> int:
        return self.payment.captured.hundredths - self.payment.refunded.hundredths - sum(self.promised)

    def _refund_rest(self) -> None:
        if left := self._left():
            self.promised.append(left)

    def _post(self, posting: dict[Account, Money]) -> None:
        assert sum(amount.hundredths for amount in posting.values()) == 0
        for account, amount in posting.items():
            self.ledger[account] += amount.hundredths


Books.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestBooks = Books.TestCase
