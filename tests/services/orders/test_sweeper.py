"""The sweeper of orders that wait for too long, with an inventory and a payments that answer over gRPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from meshwright.inventory.v1.inventory_pb import OrderedUnits, Reservation, ReserveRequest
from meshwright.orders.v1.events_pb import OrderCancelled, OrderPlaced, PaymentRequested
from meshwright.orders.v1.orders_pb import Order
from meshwright.payments.v1.payments_pb import ChargeRequest, Payment
from prometheus_client import REGISTRY

from services.orders import domain
from services.orders.clients import Inventory, Payments
from services.orders.domain import Limits
from services.orders.sweeper import Sweeper
from tests.services.orders.shop import Shop

PATIENCE_S = 20.0
AT_ONCE = timedelta(milliseconds=100)
LIMIT = timedelta(seconds=30)
NEVER = timedelta(days=10)

RESERVED = Reservation.State.RESERVED
CAPTURED = Payment.State.CAPTURED


@contextlib.asynccontextmanager
async def sweeping(
    shop: Shop,
    *,
    stock: timedelta = NEVER,
    payment: timedelta = NEVER,
    review: timedelta = NEVER,
) -> AsyncIterator[None]:
    """Runs a sweeper with these limits."""
    async with (
        shop.others.channels(shop.issuer) as (inventory, payments),
        Sweeper(
            shop.database,
            Inventory(inventory),
            Payments(payments),
            Limits(stock, payment, review),
            poll_pause_s=0.02,
        ),
    ):
        yield


async def until(shop: Shop, order: Order, *, state: Order.State, step: Order.PendingStep | None = None) -> Order:
    """Waits until an order is in a state and, if given, a step."""
    async with asyncio.timeout(PATIENCE_S):
        while (found := await shop.get(order.name)).state is not state or step not in (None, found.pending_step):
            await asyncio.sleep(0.02)
    return found


async def test_a_step_is_retried_by_a_call(shop: Shop) -> None:
    """The events got lost: the responses of inventory and payments lead the order on as their events would."""
    shop.others.reservation_state, shop.others.payment_state = RESERVED, CAPTURED
    placed = await shop.create(("products/spade", 2), ("products/seeds", 3), payment_method="card_ok")
    await shop.age(placed, 1)
    async with sweeping(shop, stock=LIMIT, payment=LIMIT):
        await until(shop, placed, state=Order.State.PENDING, step=Order.PendingStep.PAYMENT)
        await shop.age(placed, 1)
        await until(shop, placed, state=Order.State.CONFIRMED)
    assert shop.others.requests == [
        ReserveRequest(
            order=placed.name,
            units=[
                OrderedUnits(product="products/spade", quantity=2),
                OrderedUnits(product="products/seeds", quantity=3),
            ],
        ),
        ChargeRequest(order=placed.name, customer="users/ada", amount=placed.total, payment_method="card_ok"),
    ]
    assert [each.actor for each in await shop.changes(placed.name)] == ["users/ada", "inventory", "payments"]


@pytest.mark.parametrize("step", [Order.PendingStep.STOCK, Order.PendingStep.PAYMENT])
async def test_a_step_that_can_not_be_helped_is_cancelled(shop: Shop, step: Order.PendingStep) -> None:
    """After one retry, which fails, and the same limit again. OrderCancelled undoes what was done."""
    placed = await shop.create(("products/spade", 1))
    if step is Order.PendingStep.PAYMENT:
        await shop.reserve(placed)
    async with sweeping(shop, stock=AT_ONCE, payment=AT_ONCE):
        cancelled = await until(shop, placed, state=Order.State.CANCELLED)
        await eventually_undone(shop, placed)
    assert cancelled.cancel_reason is Order.CancelReason.TIMED_OUT
    assert len(shop.others.requests) >= 1  # the client repeats a call that is Unavailable
    assert (await shop.changes(placed.name))[-1].actor == "orders"
    assert (await shop.event_types())[-1] is OrderCancelled


async def eventually_undone(shop: Shop, order: Order) -> None:
    """Waits until both services were called to compensate an order, because events may not get through."""
    async with asyncio.timeout(PATIENCE_S):
        while set(shop.others.undone) != {("inventory", order.name), ("payments", order.name)}:
            await asyncio.sleep(0.02)


async def test_a_payment_that_was_captured_after_its_failure_confirms_nothing(shop: Shop) -> None:
    """Its events have not arrived. Payments pays all of it back, so the products must not be shipped."""
    shop.others.payment_state, shop.others.payment_failure = CAPTURED, Payment.Failure.TIMED_OUT
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    await shop.age(placed, 1)
    async with sweeping(shop, payment=LIMIT):
        cancelled = await until(shop, placed, state=Order.State.CANCELLED)
    assert (cancelled.cancel_reason, cancelled.payment) == (Order.CancelReason.PAYMENT_FAILED, "payments/1")
    await shop.fail(placed)  # the events, at last
    await shop.capture(placed)
    assert placed.total is not None
    await shop.refund(placed, placed.total)
    refunded = await shop.get(placed.name)
    assert (refunded.state, refunded.refunded) == (Order.State.CANCELLED, placed.total)


async def test_a_payment_that_is_still_pending_is_cancelled(shop: Shop) -> None:
    """The response changes nothing, and the limit passes again."""
    shop.others.payment_state = Payment.State.PENDING
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    async with sweeping(shop, payment=AT_ONCE):
        await until(shop, placed, state=Order.State.CANCELLED)
    assert len(shop.others.requests) == 1
    await shop.capture(placed)
    assert (await shop.get(placed.name)).state is Order.State.CANCELLED


def resolved(reviewed: bool) -> float:
    """Returns the number of orders that went on with a payment whose event was late."""
    labels = {"step": "payment_review" if reviewed else "payment", "action": "resolved"}
    return REGISTRY.get_sample_value("orders_swept_total", labels) or 0


@pytest.mark.parametrize("reviewed", [False, True])
async def test_a_payment_whose_event_is_late_is_not_paid_back(shop: Shop, reviewed: bool) -> None:
    """The retry only began it, and its event has not got through since. The order is confirmed instead of cancelled,
    and the event changes nothing.
    """
    shop.others.payment_state, shop.others.later_state = Payment.State.PENDING, CAPTURED
    before = resolved(reviewed)
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    if reviewed:
        await shop.hold(placed)
    async with sweeping(shop, payment=AT_ONCE, review=AT_ONCE):
        confirmed = await until(shop, placed, state=Order.State.CONFIRMED)
    assert resolved(reviewed) == before + 1
    assert confirmed.payment == "payments/1"
    assert (shop.others.undone, (await shop.changes(placed.name))[-1].actor) == ([], "payments")
    await shop.capture(placed)
    assert (await shop.get(placed.name)).etag == confirmed.etag


@pytest.mark.parametrize(
    ("later", "state", "step"),
    [
        (Payment.State.FAILED, Order.State.CANCELLED, Order.PendingStep.UNSPECIFIED),
        (Payment.State.IN_REVIEW, Order.State.PENDING, Order.PendingStep.PAYMENT_REVIEW),
    ],
)
async def test_another_outcome_whose_event_is_late_counts_too(
    shop: Shop, later: Payment.State, state: Order.State, step: Order.PendingStep
) -> None:
    """A payment that failed, and one for which staff have a day."""
    shop.others.payment_state, shop.others.later_state = Payment.State.PENDING, later
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    async with sweeping(shop, payment=AT_ONCE):
        found = await until(shop, placed, state=state, step=step)
    assert found.cancel_reason is not Order.CancelReason.TIMED_OUT


async def test_an_order_is_cancelled_while_payments_is_silent(shop: Shop) -> None:
    """One process asks it, although the limit passes several times until the call fails."""
    shop.others.payment_state, shop.others.silent = Payment.State.PENDING, True
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    async with sweeping(shop, payment=AT_ONCE), sweeping(shop, payment=AT_ONCE):
        cancelled = await until(shop, placed, state=Order.State.CANCELLED)
    assert cancelled.cancel_reason is Order.CancelReason.TIMED_OUT
    assert shop.others.asked == [placed.name]


async def test_two_processes_cancel_an_order_once(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a call takes longer than the lease, another process takes the order as well."""
    monkeypatch.setattr(domain, "LEASE", AT_ONCE)
    shop.others.payment_state, shop.others.silent = Payment.State.PENDING, True
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    async with sweeping(shop, payment=AT_ONCE), sweeping(shop, payment=AT_ONCE):
        await until(shop, placed, state=Order.State.CANCELLED)
        await eventually_undone(shop, placed)
    assert len(shop.others.asked) > 1
    assert (await shop.event_types()).count(OrderCancelled) == 1


async def test_an_order_that_a_process_gave_up_is_cancelled_by_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process stopped while it asked for the payment. The order does not wait for the whole limit again, and staff
    see it meanwhile.
    """
    monkeypatch.setattr(domain, "LEASE", AT_ONCE)
    shop.others.silent = True
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    await shop.hold(placed)
    await shop.age(placed, 60 * 24 * 20)
    async with sweeping(shop, review=NEVER), asyncio.timeout(PATIENCE_S):
        while not shop.others.asked:
            await asyncio.sleep(0.02)
    assert await shop.stuck() == [placed.name]
    shop.others.silent = False
    async with sweeping(shop, review=NEVER):
        cancelled = await until(shop, placed, state=Order.State.CANCELLED)
    assert cancelled.cancel_reason is Order.CancelReason.TIMED_OUT


async def test_a_review_is_cancelled_without_a_retry(shop: Shop) -> None:
    """A call does not bring about the decision of staff."""
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    await shop.hold(placed)
    async with sweeping(shop, stock=AT_ONCE, payment=AT_ONCE, review=AT_ONCE):
        cancelled = await until(shop, placed, state=Order.State.CANCELLED)
    assert cancelled.cancel_reason is Order.CancelReason.TIMED_OUT
    assert shop.others.requests == []


async def test_orders_within_their_limits_are_left_alone(shop: Shop) -> None:
    """Those in another step, and those that are not pending, too."""
    waiting = await shop.create(("products/spade", 1))
    confirmed = await shop.create_confirmed()
    charged = await shop.create(("products/spade", 1))
    await shop.reserve(charged)
    async with sweeping(shop, payment=AT_ONCE):
        await until(shop, charged, state=Order.State.CANCELLED)
    assert (await shop.get(waiting.name)).pending_step is Order.PendingStep.STOCK
    assert (await shop.get(confirmed.name)).state is Order.State.CONFIRMED


async def test_orders_of_the_version_before_are_swept(shop: Shop) -> None:
    """A process of that version inserts what it knows. A young order is retried; an old one is cancelled at once,
    because its customer no longer expects a charge.
    """
    shop.others.reservation_state = RESERVED
    placed = [await shop.create(("products/spade", 1)) for _ in range(2)]
    async with shop.database.transaction() as tx:
        await tx.execute("DELETE FROM order_changes")
        await tx.execute("ALTER TABLE order_lines DROP CONSTRAINT order_lines_order_uid_fkey")
        await tx.execute(
            """
            WITH old AS (DELETE FROM orders RETURNING uid, customer, state, create_time, update_time, version)
            SELECT * INTO TEMPORARY before FROM old
            """
        )
        await tx.execute(
            """
            INSERT INTO orders (uid, customer, state, create_time, update_time, version)
            SELECT uid, customer, state, CASE uid WHEN $1 THEN create_time - interval '2 days' ELSE create_time END,
                update_time, version FROM before
            """,
            placed[0].uid,
        )
    for each in placed:
        await shop.age(each, 1)
    async with sweeping(shop, stock=LIMIT):
        old = await until(shop, placed[0], state=Order.State.CANCELLED)
        await until(shop, placed[1], state=Order.State.PENDING, step=Order.PendingStep.PAYMENT)
    assert old.cancel_reason is Order.CancelReason.TIMED_OUT
    assert len(shop.others.requests) == 1


async def test_replicas_share_the_orders(shop: Shop) -> None:
    """Each order is retried once, and each is led on once."""
    shop.others.reservation_state = RESERVED
    placed = [await shop.create(("products/spade", 1)) for _ in range(10)]
    for each in placed:
        await shop.age(each, 1)
    async with sweeping(shop, stock=LIMIT), sweeping(shop, stock=LIMIT):
        for each in placed:
            await until(shop, each, state=Order.State.PENDING, step=Order.PendingStep.PAYMENT)
    assert sorted(each.order for each in shop.others.requests) == sorted(each.name for each in placed)
    types = await shop.event_types()
    assert (types.count(OrderPlaced), types.count(PaymentRequested), len(types)) == (10, 10, 20)
