"""Messages of payments and the ledger, made of the domain's values."""

from googleapis.google.type.money_pb import Money as MoneyMessage
from meshwright.payments.v1.payments_pb import LedgerEntry, RiskFinding
from meshwright.payments.v1.payments_pb import Payment as PaymentMessage
from protobuf.wkt import Timestamp

from mesh.money import Money
from mesh.money_message import money_message
from services.payments.domain import NAME_PREFIX, Failure, Payment
from services.payments.ledger_storage import Entry


def payment_message(payment: Payment, *, staff: bool) -> PaymentMessage:
    """Returns a payment as a message. Only staff see what the risk check found, and who decided on it."""
    message = PaymentMessage(
        name=payment.name,
        uid=str(payment.uid),
        order=payment.order,
        customer=payment.customer,
        payment_method=payment.payment_method,
        amount=money_message(payment.amount),
        captured=_unless_zero(payment.captured),
        refunded=_unless_zero(payment.refunded),
        state=PaymentMessage.State[payment.state.name],
        create_time=Timestamp.from_datetime(payment.create_time),
        update_time=Timestamp.from_datetime(payment.update_time),
        etag=payment.etag,
    )
    if payment.failure is not Failure.NONE:
        message.failure = PaymentMessage.Failure[payment.failure.name]
    if staff:
        message.reviewer = payment.reviewer
        message.risk_findings = [
            RiskFinding(rule=finding.rule, explanation=finding.explanation) for finding in payment.findings
        ]
    return message


def entry_message(entry: Entry) -> LedgerEntry:
    """Returns an entry of the ledger as a message."""
    return LedgerEntry(
        number=entry.number,
        posting=str(entry.posting),
        account=entry.account.value,
        amount=money_message(entry.amount),
        payment=f"{NAME_PREFIX}{entry.payment}",
        create_time=Timestamp.from_datetime(entry.create_time),
    )


def _unless_zero(money: Money) -> MoneyMessage | None:
    return money_message(money) if money.hundredths else None
