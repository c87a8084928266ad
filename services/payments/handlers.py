"""The methods of PaymentsService."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from meshwright.payments.v1.payments_grpc import PaymentsServiceBase
from meshwright.payments.v1.payments_pb import (
    CancelChargeRequest,
    CancelChargeResponse,
    ChargeRequest,
    GetChargeRequest,
    GetPaymentRequest,
    ListLedgerEntriesRequest,
    ListLedgerEntriesResponse,
    ListPaymentsRequest,
    ListPaymentsResponse,
    ReceiveReportRequest,
    ReceiveReportResponse,
    RefundPaymentRequest,
    ReviewPaymentRequest,
)
from meshwright.payments.v1.payments_pb import Payment as PaymentMessage

from mesh.database import Connection, Database
from mesh.errors import FieldViolation, InvalidArgument, NotFound, Unauthenticated
from mesh.idempotency import once
from mesh.money_message import money_of
from mesh.pagination import read_page
from mesh.rpc import Call
from mesh.standard_webhooks import SignatureInvalid, verify
from services.payments import charges, ledger_storage, storage
from services.payments.domain import Actor, Payment, State, uid_of, visible_to
from services.payments.messages import entry_message, payment_message

STAFF_SCOPE = "payments.manage"


class PaymentsHandlers(PaymentsServiceBase):
    """The handlers of PaymentsService. They record what is to be done; ProviderWorker calls the provider."""

    def __init__(self, database: Database, report_secret: bytes, default_payment_method: str) -> None:
        self._database = database
        self._report_secret = report_secret
        self._default_payment_method = default_payment_method

    async def get_payment(self, request: GetPaymentRequest, call: Call) -> PaymentMessage:
        """Returns a payment of the caller, or any payment to staff."""
        actor = _actor(call)
        uid = uid_of(request.name)
        async with self._database.autocommit() as connection:
            payment = visible_to(actor, request.name, await storage.find(connection, uid))
        return payment_message(payment, staff=actor.staff)

    async def list_payments(self, request: ListPaymentsRequest, call: Call) -> ListPaymentsResponse:
        """Lists the payments of the caller, or all payments for staff."""
        actor = _actor(call)
        customer = None if actor.staff else actor.subject
        state = State[request.state.name] if request.state else None
        query = ("all" if customer is None else f"of {customer}", request.order, str(int(request.state)))
        page = read_page(request.page_size, request.page_token, query=query, key_types=storage.KEY_TYPES)
        async with self._database.autocommit() as connection:
            payments, next_page_token = await storage.list_payments(connection, customer, request.order, state, page)
        messages = [payment_message(payment, staff=actor.staff) for payment in payments]
        return ListPaymentsResponse(payments=messages, next_page_token=next_page_token)

    async def refund_payment(self, request: RefundPaymentRequest, call: Call) -> PaymentMessage:
        """Records a refund, once for each request_id. Its users are read again each time: a stored response names none,
        because they may be erased before it is.
        """
        async with self._database.transaction() as tx:
            await storage.ERASED_CUSTOMERS.check_caller(tx, call.caller.subject)
            refunded = await once(tx, call, request, partial(_refund, tx, request, call.caller.subject))
            current = await _locked(tx, request.name)
        refunded.customer, refunded.reviewer = current.customer, current.reviewer
        return refunded

    async def review_payment(self, request: ReviewPaymentRequest, call: Call) -> PaymentMessage:
        """Records a decision on a payment that the risk check has flagged."""
        approve = request.decision == ReviewPaymentRequest.Decision.APPROVE
        async with self._database.transaction() as tx:
            await storage.ERASED_CUSTOMERS.check_caller(tx, call.caller.subject)
            payment = await _locked(tx, request.name)
            decided = await charges.review(tx, payment, call.caller.subject, approve=approve, now=datetime.now(UTC))
        return payment_message(decided, staff=True)

    async def list_ledger_entries(self, request: ListLedgerEntriesRequest, call: Call) -> ListLedgerEntriesResponse:
        """Lists the entries of the ledger."""
        payment = uid_of(request.payment) if request.payment else None
        page = read_page(
            request.page_size, request.page_token, query=(request.payment,), key_types=ledger_storage.KEY_TYPES
        )
        async with self._database.autocommit() as connection:
            entries, next_page_token = await ledger_storage.list_entries(connection, payment, page)
        messages = [entry_message(entry) for entry in entries]
        return ListLedgerEntriesResponse(entries=messages, next_page_token=next_page_token)

    async def receive_report(self, request: ReceiveReportRequest, call: Call) -> ReceiveReportResponse:
        """Asks the provider about the payment that a report names, soon and once for each report. What else the report
        says is not trusted, so that the order of reports does not matter.
        """
        assert request.report is not None, "the contract requires it"
        now = datetime.now(UTC)
        try:
            report_id = verify(call.metadata, now, request.report.data, [self._report_secret])
        except SignatureInvalid as error:
            raise Unauthenticated(str(error), reason="SIGNATURE_INVALID") from error
        charge = _charge_in(request.report.data)
        async with self._database.transaction() as tx:
            if await storage.record_report(tx, report_id, now):
                await storage.make_due(tx, charge)
        return ReceiveReportResponse()

    async def charge(self, request: ChargeRequest, call: Call) -> PaymentMessage:
        """Begins the payment for an order."""
        assert request.amount is not None, "the contract requires it"
        method = request.payment_method or self._default_payment_method
        async with self._database.transaction() as tx:
            payment = await charges.charge(
                tx, request.order, request.customer, method, money_of(request.amount), datetime.now(UTC)
            )
        return payment_message(payment, staff=False)

    async def get_charge(self, request: GetChargeRequest, call: Call) -> PaymentMessage:
        """Returns the payment for an order."""
        async with self._database.autocommit() as connection:
            payment = await storage.find_of_order(connection, request.order)
        if payment is None:
            raise NotFound(f"{request.order} has no payment.", reason="PAYMENT_NOT_FOUND")
        return payment_message(payment, staff=False)

    async def cancel_charge(self, request: CancelChargeRequest, call: Call) -> CancelChargeResponse:
        """Cancels the payment for an order."""
        async with self._database.transaction() as tx:
            payment = await charges.cancel(tx, request.order, datetime.now(UTC))
        return CancelChargeResponse(payment=payment_message(payment, staff=False) if payment else None)


async def _refund(tx: Connection, request: RefundPaymentRequest, actor: str) -> PaymentMessage:
    payment = await _locked(tx, request.name)
    amount = money_of(request.amount) if request.amount else None
    await charges.refund(tx, payment, amount, request.reason, datetime.now(UTC), actor=actor)
    return payment_message(replace(payment, customer="", reviewer=""), staff=True)


async def _locked(tx: Connection, name: str) -> Payment:
    return visible_to(Actor("", staff=True), name, await storage.find(tx, uid_of(name), lock=True))


def _charge_in(body: bytes) -> UUID:
    """Returns the charge that a report names. Raises InvalidArgument if it names none."""
    try:
        return UUID(json.loads(body)["charge"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        description = "must be JSON with the key of a charge"
        violation = FieldViolation("report", description, "REPORT")
        raise InvalidArgument(f"report: {description}.", reason="INVALID_FIELD", violations=[violation]) from error


def _actor(call: Call) -> Actor:
    return Actor(call.caller.subject, staff=STAFF_SCOPE in call.caller.scopes)
