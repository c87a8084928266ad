"""The consumers of events: orders are charged, and cancelled ones are not."""

from collections.abc import Mapping
from datetime import UTC, datetime

import structlog
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, PaymentRequested
from protobuf import Message

from mesh.database import Connection, Database
from mesh.errors import FailedPrecondition
from mesh.events import Broker, Event, Inbox
from mesh.events.inbox import Handler
from mesh.idempotency import forget_caller
from mesh.money_message import money_of
from services.payments import charges, storage
from services.payments.events import SOURCE

log = structlog.get_logger()


class Consumers:
    """The handlers of events."""

    def __init__(self, default_payment_method: str) -> None:
        """Prepares the handlers. `default_payment_method` is charged for orders that name none."""
        self._default_payment_method = default_payment_method

    def inbox(self, database: Database, broker: Broker) -> Inbox:
        """Returns the inbox that runs the handlers, each erasure in a transaction of its own: in a batch, it would lock
        its customer after the payments of other events, and keep those locked for long.
        """
        return Inbox(database, broker, service=SOURCE, handlers=self.handlers(), separate={UserDeleted})

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {
            PaymentRequested: self.payment_requested,
            OrderCancelled: self.order_cancelled,
            UserDeleted: self.user_deleted,
        }

    async def payment_requested(self, tx: Connection, event: Event[PaymentRequested]) -> None:
        """Begins the payment for an order."""
        order = event.data.order
        assert order is not None, "orders sets it"
        assert order.total is not None, "orders sets it"
        method = order.payment_method or self._default_payment_method
        try:
            await charges.charge(tx, order.name, order.customer, method, money_of(order.total), datetime.now(UTC))
        except FailedPrecondition as error:
            log.info("order not charged", order=order.name, why=error.message)

    async def order_cancelled(self, tx: Connection, event: Event[OrderCancelled]) -> None:
        """Cancels the payment for an order."""
        order = event.data.order
        assert order is not None, "orders sets it"
        await charges.cancel(tx, order.name, datetime.now(UTC))

    async def user_deleted(self, tx: Connection, event: Event[UserDeleted]) -> None:
        """Removes a customer from their payments, and a member of staff from their decisions."""
        await storage.anonymise(tx, event.data.user)
        await forget_caller(tx, event.data.user)
