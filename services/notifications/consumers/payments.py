"""The consumers of events about payments."""

from meshwright.payments.v1.events_pb import PaymentRefunded
from protobuf import Message

from mesh.database import Connection
from mesh.events import Event
from mesh.events.inbox import Handler
from services.notifications.domain.notification import Kind, notification_uid
from services.notifications.formatting import amount, order_number
from services.notifications.notifier import Notifier


class PaymentConsumers:
    """The handlers of events about payments: they notify the customer."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def handlers(self) -> dict[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {PaymentRefunded: self.payment_refunded}

    async def payment_refunded(self, tx: Connection, event: Event[PaymentRefunded]) -> None:
        """Notifies the customer that an amount was paid back."""
        payment = event.data.payment
        if payment is None:
            raise ValueError("the event has no payment")
        words = {"number": order_number(payment.order), "amount": amount(event.data.amount)}
        uid = notification_uid(event.source, event.id)
        await self._notifier.notify(tx, uid, payment.customer, Kind.REFUND_ISSUED, resource=payment.order, **words)
