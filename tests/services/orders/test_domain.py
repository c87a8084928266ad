"""The rules of orders."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from mesh.errors import Aborted, FailedPrecondition, NotFound
from mesh.money import Money
from services.orders.domain import (
    LEASE,
    RETRY_AGE_MAX,
    SHIPMENT_EVENTS_MAX,
    Actor,
    CancelReason,
    Order,
    OrderLine,
    PendingStep,
    Shipment,
    ShipmentEvent,
    ShipmentEventKind,
    State,
    Wait,
    uid_of,
    visible_to,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
ADA = Actor("users/ada")
SHIPMENT = Shipment("DHL", "1", NOW)

PAYMENT = "payments/1"


def order(state: State = State.PENDING, step: PendingStep = PendingStep.STOCK) -> Order:
    """Returns an order of one spade in this state, at its first version."""
    line = OrderLine("products/spade", "Spade", 1, Money("EUR", 1999))
    wait = Wait(step, NOW) if state is State.PENDING else None
    shipment = SHIPMENT if state is State.SHIPPED else None
    return Order(uuid4(), "users/ada", (line,), state, NOW, NOW, version=1, wait=wait, shipment=shipment)


@pytest.mark.parametrize("etag", ["", "1"])
def test_a_pending_order_is_cancelled(etag: str) -> None:
    """Without an etag or with the current one the order becomes a cancelled one of the next version."""
    before = order()
    after = before.cancel(ADA, etag, LATER)
    assert (after.state, after.version, after.update_time, after.create_time) == (State.CANCELLED, 2, LATER, NOW)
    assert (after.uid, after.lines) == (before.uid, before.lines)


@pytest.mark.parametrize("etag", ["", "1", "stale"])
def test_cancelling_twice_changes_nothing(etag: str) -> None:
    """Cancelling a cancelled order returns it, even with a stale etag."""
    cancelled = order(State.CANCELLED)
    assert cancelled.cancel(ADA, etag, LATER) is cancelled


def test_a_stale_etag_does_not_cancel() -> None:
    """The error carries the current etag."""
    with pytest.raises(Aborted) as caught:
        order().cancel(ADA, "0", LATER)
    assert (caught.value.reason, caught.value.metadata) == ("ETAG_MISMATCH", {"etag": "1"})


def test_a_shipped_order_is_not_cancelled() -> None:
    """The error names the state."""
    with pytest.raises(FailedPrecondition, match="The order is shipped") as caught:
        order(State.SHIPPED).cancel(ADA, "", LATER)
    assert (caught.value.reason, caught.value.metadata) == ("ORDER_STATE", {"state": "SHIPPED"})


def test_an_order_names_its_canceller() -> None:
    """A customer cancels their own orders, as staff too; staff cancels those of others. Paid ones can be cancelled."""
    reasons = {
        actor: order(State.CONFIRMED).cancel(actor, "", LATER).cancel_reason
        for actor in (ADA, Actor("users/ada", staff=True), Actor("users/boss", staff=True))
    }
    assert list(reasons.values()) == [CancelReason.CUSTOMER, CancelReason.CUSTOMER, CancelReason.STAFF]


TRANSITIONS: list[tuple[str, Callable[[Order], Order], dict[str, tuple[str, CancelReason | None]]]] = [
    ("reserved", lambda each: each.reserve_stock(LATER), {"stock": ("payment", None)}),
    (
        "rejected",
        lambda each: each.reject_stock(LATER),
        dict.fromkeys(("stock", "payment", "payment_review", "confirmed"), ("cancelled", CancelReason.OUT_OF_STOCK)),
    ),
    (
        "expired",
        lambda each: each.expire_stock(LATER),
        dict.fromkeys(("stock", "payment"), ("cancelled", CancelReason.TIMED_OUT)),
    ),
    ("held", lambda each: each.hold_payment(PAYMENT, LATER), {"payment": ("payment_review", None)}),
    (
        "captured",
        lambda each: each.capture_payment(PAYMENT, LATER),
        dict.fromkeys(("payment", "payment_review"), ("confirmed", None)),
    ),
    (
        "failed",
        lambda each: each.fail_payment(PAYMENT, LATER),
        dict.fromkeys(("payment", "payment_review"), ("cancelled", CancelReason.PAYMENT_FAILED)),
    ),
    (
        "timed out",
        lambda each: each.time_out(LATER),
        dict.fromkeys(("stock", "payment", "payment_review"), ("cancelled", CancelReason.TIMED_OUT)),
    ),
    (
        "customer deleted",
        lambda each: each.delete_customer(LATER),
        dict.fromkeys(("stock", "payment", "payment_review"), ("cancelled", CancelReason.CUSTOMER_DELETED)),
    ),
]


@pytest.mark.parametrize(
    ("transition", "expected"), [each[1:] for each in TRANSITIONS], ids=[each[0] for each in TRANSITIONS]
)
def test_what_happens_moves_an_order_only_from_some_states(
    transition: Callable[[Order], Order], expected: dict[str, tuple[str, CancelReason | None]]
) -> None:
    """In all other states and steps the order stays the very same, because the event was late or repeated."""
    moved = {}
    for before in (
        *(order(State.PENDING, step) for step in PendingStep),
        *(order(state) for state in State if state is not State.PENDING),
    ):
        after = transition(before)
        if after is not before:
            assert (after.version, after.update_time) == (2, LATER)
            moved[place(before)] = place(after), after.cancel_reason
    assert moved == expected


def place(each: Order) -> str:
    """Returns the step of a pending order, the state of another one."""
    return each.pending_step.value if each.pending_step else each.state.value


def test_a_step_begins_when_the_order_comes_to_it() -> None:
    """Its time is that of the transition, and it was not retried."""
    waiting = order().retry(LATER).reserve_stock(LATER)
    assert waiting.wait == Wait(PendingStep.PAYMENT, LATER)


def test_time_does_not_go_back() -> None:
    """A change by a process whose clock is late has the time of the change before."""
    assert order().reserve_stock(NOW - timedelta(minutes=1)).update_time == NOW


def test_an_order_knows_its_payment() -> None:
    """Each outcome of the payment names it."""
    waiting = order(step=PendingStep.PAYMENT)
    for after in (
        waiting.hold_payment(PAYMENT, LATER),
        waiting.capture_payment(PAYMENT, LATER),
        waiting.fail_payment(PAYMENT, LATER),
        order(State.CANCELLED).refund_payment(PAYMENT, Money("EUR", 1), LATER),
    ):
        assert after.payment == PAYMENT


def test_refunds_only_grow() -> None:
    """The sum of the refunds is recorded in any state; a smaller one, of a late event, changes nothing."""
    for state in State:
        before = order(state)
        assert before.refund_payment(PAYMENT, Money("EUR", 0), LATER) is before
        refunded = before.refund_payment(PAYMENT, Money("EUR", 500), LATER)
        assert (refunded.refunded, refunded.state) == (Money("EUR", 500), state)
        assert refunded.refund_payment(PAYMENT, Money("EUR", 300), LATER) is refunded
        assert refunded.refund_payment(PAYMENT, Money("EUR", 700), LATER).refunded == Money("EUR", 700)


def test_an_overdue_order_is_retried_once() -> None:
    """After the retry, or a day after it was placed, it is not; nor is the decision of staff."""
    waiting = order(step=PendingStep.PAYMENT)
    assert waiting.can_retry(NOW + RETRY_AGE_MAX)
    assert not waiting.can_retry(NOW + RETRY_AGE_MAX + timedelta(seconds=1))
    assert not waiting.retry(LATER).can_retry(LATER)
    assert not order(step=PendingStep.PAYMENT_REVIEW).can_retry(LATER)
    assert not order(State.CONFIRMED).can_retry(LATER)


def test_a_retry_is_no_new_version() -> None:
    """Readers and their etags do not notice it, nor that an order is given up."""
    for retried in (order().retry(LATER), order().give_up(timedelta(hours=1), LATER)):
        assert (retried.etag, retried.update_time) == ("1", NOW)


@pytest.mark.parametrize("limit", [timedelta(seconds=1), LEASE, timedelta(days=1)])
@pytest.mark.parametrize("step", PendingStep)
def test_an_order_that_is_given_up_is_overdue_again_after_the_lease(limit: timedelta, step: PendingStep) -> None:
    """Its limit counts from the time of the retry. It is not retried, and is still in its wait."""
    waiting = order(step=step)
    given_up = waiting.give_up(limit, LATER)
    assert given_up.wait is not None
    assert given_up.wait.retry_time is not None
    assert given_up.wait.retry_time + limit == LATER + LEASE
    assert not given_up.can_retry(LATER)
    assert given_up.wait.is_as(waiting.wait)


def test_another_step_is_another_wait() -> None:
    """So is the end of the order."""
    waiting = order().wait
    assert waiting is not None
    assert not waiting.is_as(order().reserve_stock(NOW).wait)
    assert not waiting.is_as(order().time_out(LATER).wait)


def test_a_confirmed_order_is_shipped() -> None:
    """It has its shipment; the same shipment again changes nothing, even with a stale etag."""
    shipped = order(State.CONFIRMED).ship(SHIPMENT, "1", LATER)
    assert (shipped.state, shipped.shipment, shipped.etag) == (State.SHIPPED, SHIPMENT, "2")
    again = Shipment("DHL", "1", LATER + timedelta(days=1))
    assert shipped.ship(again, "1", LATER) is shipped
    with pytest.raises(Aborted):
        order(State.CONFIRMED).ship(SHIPMENT, "0", LATER)


@pytest.mark.parametrize("state", [State.PENDING, State.CANCELLED, State.SHIPPED])
def test_an_order_in_another_state_is_not_shipped(state: State) -> None:
    """Not even a shipped one by a second shipment."""
    with pytest.raises(FailedPrecondition) as caught:
        order(state).ship(Shipment("UPS", "1", LATER), "", LATER)
    assert (caught.value.reason, caught.value.metadata) == ("ORDER_STATE", {"state": state.name})


def test_a_shipment_has_a_limited_number_of_events() -> None:
    """Each is appended; the one after the last allowed is rejected. An order without a shipment has none."""
    event = ShipmentEvent(ShipmentEventKind.IN_TRANSIT, "Leipzig", LATER)
    shipped = order(State.SHIPPED)
    for _ in range(SHIPMENT_EVENTS_MAX):
        shipped = shipped.record_shipment_event(event, LATER)
    assert shipped.shipment is not None
    assert shipped.shipment.events == (event,) * SHIPMENT_EVENTS_MAX
    with pytest.raises(FailedPrecondition) as caught:
        shipped.record_shipment_event(event, LATER)
    assert caught.value.reason == "SHIPMENT_FULL"
    with pytest.raises(FailedPrecondition) as caught:
        order(State.CONFIRMED).record_shipment_event(event, LATER)
    assert caught.value.metadata == {"state": "CONFIRMED"}


def test_final_states_are_those_that_nothing_follows() -> None:
    """Streams of orders end there."""
    assert {state for state in State if state.final} == {State.CANCELLED, State.SHIPPED}


def test_an_order_is_visible_to_its_customer_and_to_staff() -> None:
    """Both get the order."""
    own = order()
    for actor in (Actor("users/ada"), Actor("users/boss", staff=True)):
        assert visible_to(actor, own.name, own) is own


def test_somebody_elses_order_does_not_exist() -> None:
    """The error is the same as for an order that does not exist."""
    own = order()
    errors = []
    for found in (own, None):
        with pytest.raises(NotFound) as caught:
            visible_to(Actor("users/eve"), own.name, found)
        errors.append((caught.value.message, caught.value.reason, caught.value.metadata))
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    "name",
    [
        "orders/1",
        "orders/me",
        "products/0f0e0d0c-0b0a-4908-8706-050403020100",
        "orders/0F0E0D0C-0B0A-4908-8706-050403020100",
        "orders/{0f0e0d0c-0b0a-4908-8706-050403020100}",
        "orders/\0",
    ],
)
def test_a_name_that_no_order_has_is_not_found(name: str) -> None:
    """Other spellings of a UUID are not names, because an order has only one name."""
    with pytest.raises(NotFound):
        uid_of(name)


def test_a_name_gives_its_uid() -> None:
    """The identifier in an order's name is its uid."""
    own = order()
    assert uid_of(own.name) == own.uid
