"""The events about payments. Those of one order arrive in the order in which they were published."""

from typing import Final

import structlog
from meshwright.payments.v1.events_pb import PaymentFailed
from protobuf import Message

from mesh.database import Connection
from mesh.events import publish
from services.payments.domain import Payment
from services.payments.messages import payment_message

SOURCE: Final = "payments"

log = structlog.get_logger()


async def publish_about(tx: Connection, payment: Payment, event: Message) -> None:
    """Publishes an event about a payment."""
    log.info("payment changed", payment=payment.name, order=payment.order, state=payment.state.value)
    await publish(tx, event, source=SOURCE, aggregate=payment.order)


async def publish_failed(tx: Connection, payment: Payment) -> None:
    """Publishes that a payment failed."""
    await publish_about(tx, payment, PaymentFailed(payment=payment_message(payment, staff=False)))
