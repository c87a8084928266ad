"""PaymentsService over real channels, with a real PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from googleapis.google.api.httpbody_pb import HttpBody
from googleapis.google.type.money_pb import Money as MoneyMessage
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, PaymentRequested
from meshwright.orders.v1.orders_pb import Order
from meshwright.payments.v1.payments_grpc import PaymentsServiceClient
from meshwright.payments.v1.payments_pb import (
    ChargeRequest,
    GetChargeRequest,
    GetPaymentRequest,
    ListLedgerEntriesRequest,
    ListPaymentsRequest,
    Payment,
    ReceiveReportRequest,
    RefundPaymentRequest,
    ReviewPaymentRequest,
)
from protobuf import Message
from structlog.testing import capture_logs

from mesh import erased_users
from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from mesh.events import Event
from mesh.money import Money
from mesh.money_message import money_message
from mesh.rpc import Call
from mesh.standard_webhooks import TOLERANCE, signed_headers
from services.payments import charges, storage
from services.payments.consumers import Consumers
from services.payments.handlers import PaymentsHandlers
from services.payments.sandbox import Sandbox
from tests.issuer import Issuer
from tests.limited_statements import limit_statements
from tests.services.calls import acting_with, channel_to, serving
from tests.services.payments.conftest import PRICE, Shop

SECRET = b"the provider's secret"
CUSTOMER, STAFF = "payments.read", "payments.read payments.manage"


@pytest.fixture
def issuer() -> Issuer:
    """The issuer of the tokens of this test."""
    return Issuer()


@pytest.fixture
def handlers(shop: Shop) -> PaymentsHandlers:
    """The handlers."""
    return PaymentsHandlers(shop.database, SECRET, "card_ok")


@pytest.fixture
async def client(issuer: Issuer, handlers: PaymentsHandlers) -> AsyncIterator[PaymentsServiceClient]:
    """A client of the service."""
    async with serving(issuer, handlers) as port, channel_to(port, "payments") as channel:
        yield PaymentsServiceClient(channel)


async def test_customers_see_their_own_payments(client: PaymentsServiceClient, shop: Shop, issuer: Issuer) -> None:
    """Others' are not found; staff see all, and what the risk check found."""
    flagged = await shop.charge(amount=Money("EUR", 200_000))
    await shop.charge("orders/2", customer="users/bob")
    await shop.work()
    with acting_with(issuer.token("users/ada", CUSTOMER)):
        (mine,) = (await client.list_payments(ListPaymentsRequest())).payments
        assert (mine.name, mine.state, mine.risk_findings) == (flagged.name, Payment.State.IN_REVIEW, [])
    with acting_with(issuer.token("users/bob", CUSTOMER)), pytest.raises(NotFound):
        await client.get_payment(GetPaymentRequest(name=flagged.name))
    with acting_with(issuer.token("users/eve", STAFF)):
        held = await client.list_payments(ListPaymentsRequest(state=Payment.State.IN_REVIEW))
        assert [finding.rule for finding in held.payments[0].risk_findings] == ["AMOUNT"]
        of_order = await client.list_payments(ListPaymentsRequest(order="orders/2"))
        assert [payment.customer for payment in of_order.payments] == ["users/bob"]
        page = await client.list_payments(ListPaymentsRequest(page_size=1))
        rest = await client.list_payments(ListPaymentsRequest(page_size=1, page_token=page.next_page_token))
        assert (rest.payments[0].name, rest.next_page_token) == (flagged.name, "")


async def test_staff_refund_in_parts(client: PaymentsServiceClient, shop: Shop, issuer: Issuer) -> None:
    """Once for each request_id, and no more than was paid; customers may not."""
    payment = await shop.charge()
    await shop.work()
    part = RefundPaymentRequest(
        name=payment.name,
        amount=MoneyMessage(currency_code="EUR", units=10),
        reason="Arrived damaged",
        request_id=str(uuid4()),
    )
    with acting_with(issuer.token("users/ada", CUSTOMER)), pytest.raises(PermissionDenied):
        await client.refund_payment(part)
    with acting_with(issuer.token("users/eve", STAFF)):
        for _ in range(2):
            await client.refund_payment(part)
        await shop.work()
        rest = RefundPaymentRequest(name=payment.name, reason="Arrived damaged")
        await client.refund_payment(rest)
        with pytest.raises(FailedPrecondition) as caught:
            await client.refund_payment(rest)
        assert caught.value.reason == "REFUND_EXCEEDS_PAYMENT"
        await shop.work()
        refunded = (await client.get_payment(GetPaymentRequest(name=payment.name))).refunded
        assert refunded == MoneyMessage(currency_code="EUR", units=25, nanos=990_000_000)
        entries = (await client.list_ledger_entries(ListLedgerEntriesRequest(payment=payment.name))).entries
        assert len(entries) == 6
        assert sum(each.amount.units * 100 + each.amount.nanos // 10**7 for each in entries if each.amount) == 0


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        (MoneyMessage(currency_code="USD", units=1), InvalidArgument),
        (MoneyMessage(currency_code="EUR", units=-1), InvalidArgument),
        (MoneyMessage(currency_code="EUR"), InvalidArgument),
        (MoneyMessage(currency_code="EUR", units=1, nanos=19_999_999), InvalidArgument),
        (MoneyMessage(currency_code="EUR", units=2, nanos=-10_000_000), InvalidArgument),
        (MoneyMessage(currency_code="EUR", units=26), FailedPrecondition),
        (MoneyMessage(currency_code="EUR", units=2**63 - 1), FailedPrecondition),
    ],
)
async def test_wrong_refunds_are_refused(
    client: PaymentsServiceClient, shop: Shop, issuer: Issuer, amount: MoneyMessage, error: type[Exception]
) -> None:
    """Another currency, nothing, less than nothing, fractions of a cent, mixed signs, and more than was paid."""
    payment = await shop.charge()
    await shop.work()
    with acting_with(issuer.token("users/eve", STAFF)), pytest.raises(error):
        await client.refund_payment(RefundPaymentRequest(name=payment.name, amount=amount, reason="Broken"))


async def test_a_decision_can_be_repeated_but_not_reversed(
    client: PaymentsServiceClient, shop: Shop, issuer: Issuer
) -> None:
    """A payment that does not wait for one is FAILED_PRECONDITION."""
    plain, flagged = await shop.charge(), await shop.charge("orders/2", amount=Money("EUR", 200_000))
    await shop.work()
    approve, decline = ReviewPaymentRequest.Decision.APPROVE, ReviewPaymentRequest.Decision.DECLINE
    with acting_with(issuer.token("users/eve", STAFF)):
        for _ in range(2):
            decided = await client.review_payment(ReviewPaymentRequest(name=flagged.name, decision=approve))
            assert decided.reviewer == "users/eve"
        for name in (plain.name, flagged.name):
            with pytest.raises(FailedPrecondition):
                await client.review_payment(ReviewPaymentRequest(name=name, decision=decline))
    with acting_with(issuer.token("users/bob", STAFF)):
        again = await client.review_payment(ReviewPaymentRequest(name=flagged.name, decision=approve))
        assert again.reviewer == "users/eve", "it was decided before"
    with acting_with(issuer.token("users/ada", CUSTOMER)):
        assert (await client.get_payment(GetPaymentRequest(name=flagged.name))).reviewer == ""


def report(
    body: bytes, *, secret: bytes = SECRET, sent: timedelta = timedelta(), report_id: str = "msg_7"
) -> tuple[ReceiveReportRequest, Call]:
    """Returns a report as the edge passes it on."""
    headers = signed_headers(report_id, datetime.now(UTC) - sent, body, [secret])
    request = ReceiveReportRequest(report=HttpBody(content_type="application/json", data=body))
    return request, Call("/", metadata=headers)


async def test_a_report_makes_the_worker_ask(handlers: PaymentsHandlers, shop: Shop) -> None:
    """However often it arrives. A charge that is unknown is ignored."""
    payment = await shop.charge(method="card_late")
    await shop.work_once()
    assert await shop.due() == 0
    body = json.dumps({"charge": str(payment.uid)}).encode()
    for report_id in ("msg_7", "msg_7", "msg_8"):
        await handlers.receive_report(*report(body, report_id=report_id))
        assert await shop.due() == 1
    await handlers.receive_report(*report(json.dumps({"charge": str(uuid4())}).encode(), report_id="msg_9"))
    assert await shop.due() == 1


async def test_a_decided_charge_is_not_asked_about(handlers: PaymentsHandlers, shop: Shop) -> None:
    """A report about it has no effect."""
    payment = await shop.charge()
    await shop.work()
    await handlers.receive_report(*report(json.dumps({"charge": str(payment.uid)}).encode()))
    assert await shop.due() == 0


async def test_a_replayed_report_has_no_effect(handlers: PaymentsHandlers, shop: Shop) -> None:
    """The provider is asked once for each report, also if its copies arrive at the same time."""
    payment = await shop.charge(method="card_late")
    await shop.work_once()
    replayed = report(json.dumps({"charge": str(payment.uid)}).encode())
    await asyncio.gather(*(handlers.receive_report(*replayed) for _ in range(4)))
    await shop.work_once()
    for _ in range(2):
        await handlers.receive_report(*replayed)
    assert await shop.due() == 0


async def test_reports_are_forgotten_when_their_signatures_are(handlers: PaymentsHandlers, shop: Shop) -> None:
    """So that the table does not grow for ever."""
    body = json.dumps({"charge": str(uuid4())}).encode()
    for report_id in ("msg_1", "msg_2"):
        await handlers.receive_report(*report(body, report_id=report_id))
    async with shop.database.transaction() as tx:
        await tx.execute("UPDATE received_reports SET receive_time = now() - $1::interval", 2 * TOLERANCE)
    await handlers.receive_report(*report(body, report_id="msg_3"))
    async with shop.database.transaction() as tx:
        assert [row["id"] for row in await tx.fetch("SELECT id FROM received_reports")] == ["msg_3"]


async def test_an_unsigned_report_is_refused(handlers: PaymentsHandlers) -> None:
    """By another secret, an old one, and without a signature."""
    body = json.dumps({"charge": str(uuid4())}).encode()
    request, _ = report(body)
    wrong = [report(body, secret=b"guessed"), report(body, sent=timedelta(minutes=6)), (request, Call("/"))]
    for each in wrong:
        with pytest.raises(Unauthenticated) as caught:
            await handlers.receive_report(*each)
        assert caught.value.reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"charge": 7}', b'{"charge": "x"}', b"[" * 100_000, b"\xff"])
async def test_a_signed_report_of_something_else_is_refused(handlers: PaymentsHandlers, body: bytes) -> None:
    """With the field's name."""
    with pytest.raises(InvalidArgument) as caught:
        await handlers.receive_report(*report(body))
    assert [violation.field for violation in caught.value.violations] == ["report"]


async def test_orders_are_charged_and_cancelled(shop: Shop) -> None:
    """By events, with the default payment method where they name none, in either order."""
    order = Order(name="orders/1", customer="users/ada", total=MoneyMessage(currency_code="EUR", units=5))
    await handle(shop, PaymentRequested(order=order))
    await shop.work()
    await handle(shop, OrderCancelled(order=order))
    late = Order(name="orders/2", customer="users/ada", total=MoneyMessage(currency_code="EUR", units=5))
    await handle(shop, OrderCancelled(order=late))
    await handle(shop, PaymentRequested(order=late))
    await shop.work()
    assert await shop.ledger() == {"provider": 0, "sales": -500, "refunds": 500}


async def test_a_charge_that_was_captured_after_its_failure_is_not_taken_for_paid(
    handlers: PaymentsHandlers, shop: Shop
) -> None:
    """Orders may ask before it has the events: the response has the failure, and the refund may still be to come."""
    payment = await shop.charge()
    await Sandbox(shop.database).authorize(payment.uid, "card_ok", PRICE)
    await Sandbox(shop.database).capture(payment.uid)  # an answer that was lost
    late = Shop(shop.database, Sandbox(shop.database), time_max=timedelta())
    for _ in range(2):  # to fail, and to find the capture when voiding
        await late.work_once()
    request = ChargeRequest(order=payment.order, customer=payment.customer, amount=money_message(PRICE))
    charged = await handlers.charge(request, Call("/"))
    assert (charged.state, charged.failure) == (Payment.State.CAPTURED, Payment.Failure.TIMED_OUT)
    await late.work()
    assert (await shop.payment(payment.uid)).refunded == PRICE


async def test_a_deleted_customer_leaves_the_books(shop: Shop) -> None:
    """The name is gone; the amounts are kept, as the law requires."""
    payment = await shop.charge()
    await shop.work()
    before = await shop.payment(payment.uid)
    await handle(shop, UserDeleted(user="users/ada"))
    after = await shop.payment(payment.uid)
    assert after.customer == ""
    assert after.etag != before.etag, "a cache would keep the name"
    assert await shop.ledger() == {"provider": 2599, "sales": -2599}


async def test_a_customer_who_was_deleted_is_not_named_again(shop: Shop) -> None:
    """The request for a payment arrives after the deletion: events of different services have no order."""
    await handle(shop, UserDeleted(user="users/ada"))
    order = Order(name="orders/1", customer="users/ada", total=MoneyMessage(currency_code="EUR", units=5))
    await handle(shop, PaymentRequested(order=order))
    await shop.work()
    async with shop.database.transaction() as tx:
        rows = await tx.fetch("SELECT customer, state FROM payments")
    assert [tuple(row) for row in rows] == [("", "captured")]


async def test_deleted_staff_leave_their_decisions_without_a_name(
    client: PaymentsServiceClient, shop: Shop, issuer: Issuer
) -> None:
    """The payment shows that it was decided on; with a token that is still valid no other decision is made."""
    first, second = [await shop.charge(f"orders/{number}", amount=Money("EUR", 200_000)) for number in range(2)]
    await shop.work()
    approve = ReviewPaymentRequest.Decision.APPROVE
    with acting_with(issuer.token("users/eve", STAFF)):
        await client.review_payment(ReviewPaymentRequest(name=first.name, decision=approve))
        await handle(shop, UserDeleted(user="users/eve"))
        with pytest.raises(Unauthenticated) as caught:
            await client.review_payment(ReviewPaymentRequest(name=second.name, decision=approve))
    assert caught.value.reason == "TOKEN_REVOKED"
    assert [(await shop.payment(each.uid)).reviewer for each in (first, second)] == ["users/-", ""]


async def test_staff_who_decided_on_many_payments_are_erased_in_parts(
    client: PaymentsServiceClient, shop: Shop, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement has so much to do that its time limit ends the erasure, at each try."""
    monkeypatch.setattr(erased_users, "ERASED_PER_STATEMENT_MAX", 2)
    payments = [await shop.charge(f"orders/{number}", amount=Money("EUR", 200_000)) for number in range(5)]
    await shop.work()
    approve = ReviewPaymentRequest.Decision.APPROVE
    with acting_with(issuer.token("users/eve", STAFF)):
        for payment in payments:
            await client.review_payment(ReviewPaymentRequest(name=payment.name, decision=approve))
    await limit_statements(shop.database, "payments", 2)
    await handle(shop, UserDeleted(user="users/eve"))
    assert [(await shop.payment(payment.uid)).reviewer for payment in payments] == ["users/-"] * 5


async def test_a_customer_of_many_payments_is_erased_in_parts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement has so much to do that its time limit ends the erasure, at each try."""
    monkeypatch.setattr(erased_users, "ERASED_PER_STATEMENT_MAX", 2)
    payments = [await shop.charge(f"orders/{number}") for number in range(5)]
    await limit_statements(shop.database, "payments", 2)
    await handle(shop, UserDeleted(user=payments[0].customer))
    assert [(await shop.payment(payment.uid)).customer for payment in payments] == [""] * 5


async def test_orders_asks_for_a_payment_without_charging(handlers: PaymentsHandlers, shop: Shop) -> None:
    """It gets the payment as it is now, if there is one."""
    request, call = GetChargeRequest(order="orders/1"), Call("/test")
    with pytest.raises(NotFound) as caught:
        await handlers.get_charge(request, call)
    assert caught.value.reason == "PAYMENT_NOT_FOUND"
    await shop.charge("orders/1")
    await shop.work()
    assert (await handlers.get_charge(request, call)).state is Payment.State.CAPTURED


async def test_orders_asks_for_a_payment_that_is_locked(handlers: PaymentsHandlers, shop: Shop) -> None:
    """A batch of events may have locked it for longer than the call may take."""
    await shop.charge("orders/1")
    async with shop.database.transaction() as tx:
        assert await storage.lock_of_order(tx, "orders/1") is not None
        found = await handlers.get_charge(GetChargeRequest(order="orders/1"), Call("/test"))
    assert found.state is Payment.State.PENDING


async def test_a_refund_has_its_actor(client: PaymentsServiceClient, shop: Shop, issuer: Issuer) -> None:
    """In the table, until the account is deleted, and in the audit log; nobody refunds what a cancelled order paid."""
    mine, cancelled = [await shop.charge(f"orders/{number}") for number in range(2)]
    await shop.work()
    await shop.cancel("orders/1")
    half = MoneyMessage(currency_code="EUR", units=13)
    request = RefundPaymentRequest(name=mine.name, amount=half, reason="Broken")
    with acting_with(issuer.token("users/eve", STAFF)), capture_logs() as logs:
        await client.refund_payment(request)
        with pytest.raises(FailedPrecondition):
            await client.refund_payment(request)
    [change] = [log for log in logs if log["event"] == "change"]
    assert (change["account"], change["resource"]) == ("users/eve", mine.name)
    assert change["method"].endswith("/RefundPayment")
    assert await actors(shop) == {mine.uid: "users/eve", cancelled.uid: ""}
    await handle(shop, UserDeleted(user="users/eve"))
    assert await actors(shop) == {mine.uid: "users/-", cancelled.uid: ""}


async def actors(shop: Shop) -> dict[UUID, str]:
    """Returns who refunded each payment."""
    async with shop.database.transaction() as tx:
        return {row["payment_uid"]: row["actor"] for row in await tx.fetch("SELECT payment_uid, actor FROM refunds")}


async def test_deleted_staff_refund_nothing(client: PaymentsServiceClient, shop: Shop, issuer: Issuer) -> None:
    """Even with a token that is still valid."""
    payment = await shop.charge()
    await shop.work()
    await handle(shop, UserDeleted(user="users/eve"))
    request = RefundPaymentRequest(name=payment.name, reason="Broken", request_id=str(uuid4()))
    with acting_with(issuer.token("users/eve", STAFF)), pytest.raises(Unauthenticated) as caught:
        await client.refund_payment(request)
    assert caught.value.reason == "TOKEN_REVOKED"
    assert await shop.due() == 0


async def test_a_stored_response_to_a_refund_names_nobody_who_was_deleted(
    client: PaymentsServiceClient, shop: Shop, issuer: Issuer
) -> None:
    """Neither the customer nor the reviewer, in the table and in the response to a repeated call."""
    payment = await shop.charge(amount=Money("EUR", 200_000))
    await shop.work()
    with acting_with(issuer.token("users/bob", STAFF)):
        approve = ReviewPaymentRequest.Decision.APPROVE
        await client.review_payment(ReviewPaymentRequest(name=payment.name, decision=approve))
    await shop.work()
    request = RefundPaymentRequest(name=payment.name, reason="Broken", request_id=str(uuid4()))
    with acting_with(issuer.token("users/eve", STAFF)):
        first = await client.refund_payment(request)
        for user in ("users/ada", "users/bob"):
            await handle(shop, UserDeleted(user=user))
        second = await client.refund_payment(request)
    assert [(each.customer, each.reviewer) for each in (first, second)] == [("users/ada", "users/bob"), ("", "users/-")]
    async with shop.database.transaction() as tx:
        (stored,) = await tx.fetch("SELECT response FROM mesh.answers")
    assert not [name for name in (b"users/ada", b"users/bob") if name in stored["response"]]


async def test_a_deletion_does_not_deadlock_with_a_batch_of_events(shop: Shop) -> None:
    """A deletion that would deadlock with a batch of events of the same customer is rolled back and retried."""
    payments = sorted([await shop.charge(f"orders/{number}") for number in range(2)], key=lambda each: each.uid)
    async with shop.database.transaction() as tx:
        await storage.find(tx, payments[1].uid, lock=True)
        with pytest.raises(Aborted):
            await handle(shop, UserDeleted(user="users/ada"))
        await storage.find(tx, payments[0].uid, lock=True)
    await handle(shop, UserDeleted(user="users/ada"))
    assert [(await shop.payment(each.uid)).customer for each in payments] == ["", ""]


async def test_payments_of_a_customer_begin_at_the_same_time(shop: Shop) -> None:
    """Two batches begin payments of two customers in opposite orders: neither waits for the other."""
    async with shop.database.transaction() as one, shop.database.transaction() as other:
        for tx, customers in ((one, ("users/ada", "users/bob")), (other, ("users/bob", "users/ada"))):
            for customer in customers:
                order = f"orders/{uuid4()}"
                await charges.charge(tx, order, customer, "card_ok", Money("EUR", 500), datetime.now(UTC))
    assert await shop.work()
    assert await shop.ledger() == {"provider": 2000, "sales": -2000}


async def test_events_that_arrive_again_have_no_effect(shop: Shop) -> None:
    """Requests and cancellations, in any order, whether the payment is captured or declined."""
    for name, method in (("orders/1", ""), ("orders/2", "card_declined")):
        order = Order(
            name=name,
            customer="users/ada",
            payment_method=method,
            total=MoneyMessage(currency_code="EUR", units=5),
        )
        for data in (PaymentRequested, PaymentRequested, OrderCancelled, OrderCancelled, PaymentRequested):
            await handle(shop, data(order=order))
            await shop.work()
    assert await shop.ledger() == {"provider": 0, "sales": -500, "refunds": 500}
    assert await shop.events() == ["PaymentAuthorized", "PaymentCaptured", "PaymentRefunded", "PaymentFailed"]


async def handle(shop: Shop, data: Message) -> None:
    """Handles an event, as the inbox does."""
    event = Event(str(uuid4()), "", "orders", "orders/1", datetime.now(UTC), data)
    async with shop.database.transaction() as tx:
        await Consumers("card_ok").handlers()[type(data)](tx, event)
