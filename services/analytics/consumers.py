"""The consumers of events: each event is logged, and the steps of sales are counted."""

from collections.abc import Mapping, Sequence
from typing import Any

from googleapis.google.type.money_pb import Money as MoneyMessage
from meshwright.catalog.v1.events_pb import ProductChanged
from meshwright.identity.v1.events_pb import RegistrationRepeated, UserDeleted, UserRegistered
from meshwright.inventory.v1.events_pb import StockLow, StockRejected, StockReserved
from meshwright.orders.v1.events_pb import (
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    OrderShipped,
    PaymentRequested,
)
from meshwright.orders.v1.orders_pb import Order
from meshwright.payments.v1.events_pb import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentFailed,
    PaymentHeld,
    PaymentRefunded,
)
from meshwright.payments.v1.payments_pb import Payment
from meshwright.recommendations.v1.events_pb import VariantConverted, VariantExposed
from meshwright.support.v1.events_pb import MessagePosted
from protobuf import Message

from mesh.database import Connection, Database
from mesh.events import Broker, Event, Inbox
from mesh.events.inbox import Handler
from mesh.money import Money
from mesh.money_message import money_of
from services.analytics import audit_storage, metric_storage, people_storage, sale_storage
from services.analytics.audit_storage import Entry
from services.analytics.domain import Metric, SaleLine, SaleStep, tallies, variant_tallies


def inbox(database: Database, broker: Broker) -> Inbox:
    """Returns the inbox that runs the handlers. It locks all roll-ups first: a transaction has several events, whose
    roll-ups it would lock in no particular order, so that two of them could deadlock.
    """
    return Inbox(database, broker, service="analytics", handlers=handlers(), lock=metric_storage.lock_rollups)


def handlers() -> Mapping[type[Message], Handler]:
    """Returns the handler of each event."""
    return {
        UserRegistered: user_registered,
        RegistrationRepeated: registration_repeated,
        UserDeleted: user_deleted,
        ProductChanged: product_changed,
        OrderPlaced: order_placed,
        OrderConfirmed: order_confirmed,
        OrderCancelled: order_cancelled,
        OrderShipped: order_shipped,
        PaymentRequested: payment_requested,
        StockReserved: stock_reserved,
        StockRejected: stock_rejected,
        StockLow: stock_low,
        PaymentAuthorized: payment_authorized,
        PaymentHeld: payment_held,
        PaymentFailed: payment_failed,
        PaymentCaptured: payment_captured,
        PaymentRefunded: payment_refunded,
        MessagePosted: message_posted,
        VariantExposed: variant_exposed,
        VariantConverted: variant_converted,
    }


async def user_registered(tx: Connection, event: Event[UserRegistered]) -> None:
    """Logs the registration."""
    await _log(tx, event, event.data.user, "registered")


async def registration_repeated(tx: Connection, event: Event[RegistrationRepeated]) -> None:
    """Logs the attempt. Nobody knows who made it."""
    await _log(tx, event, "", "somebody tried to register with the address of this user")


async def user_deleted(tx: Connection, event: Event[UserDeleted]) -> None:
    """Logs the deletion, and makes all facts about the user anonymous."""
    await _log(tx, event, event.data.user, "deleted the account")
    await people_storage.erase(tx, event.data.user)


async def product_changed(tx: Connection, event: Event[ProductChanged]) -> None:
    """Logs the change."""
    product = event.data.product
    assert product is not None, "catalog sets it"
    await _log(tx, event, "", f"{'deleted' if product.delete_time else 'saved'} as version {product.etag}")


async def order_placed(tx: Connection, event: Event[OrderPlaced]) -> None:
    """Counts the order in the interval of its placement."""
    await _count_order(tx, event, event.data.order, Metric.ORDERS_PLACED)


async def order_confirmed(tx: Connection, event: Event[OrderConfirmed]) -> None:
    """Counts the order in the interval of its confirmation."""
    await _count_order(tx, event, event.data.order, Metric.ORDERS_CONFIRMED)


async def order_cancelled(tx: Connection, event: Event[OrderCancelled]) -> None:
    """Counts the order in the interval of its cancellation."""
    await _count_order(tx, event, event.data.order, Metric.ORDERS_CANCELLED)


async def order_shipped(tx: Connection, event: Event[OrderShipped]) -> None:
    """Counts the order in the interval of its shipment."""
    await _count_order(tx, event, event.data.order, Metric.ORDERS_SHIPPED)


async def payment_requested(tx: Connection, event: Event[PaymentRequested]) -> None:
    """Logs the request."""
    order = event.data.order
    assert order is not None, "orders sets it"
    assert order.total is not None, "orders sets it"
    await _log(tx, event, order.customer, f"payment of {_amount(money_of(order.total))} requested")


async def stock_reserved(tx: Connection, event: Event[StockReserved]) -> None:
    """Logs the reservation."""
    await _log(tx, event, "", "products reserved")


async def stock_rejected(tx: Connection, event: Event[StockRejected]) -> None:
    """Logs why there is no reservation."""
    short = len(event.data.shortages)
    await _log(tx, event, "", f"reservation rejected: {f'{short} products are short' if short else 'it expired'}")


async def stock_low(tx: Connection, event: Event[StockLow]) -> None:
    """Logs that a product runs low."""
    await _log(tx, event, "", "fell to its reorder level")


async def payment_authorized(tx: Connection, event: Event[PaymentAuthorized]) -> None:
    """Logs the authorisation."""
    await _log_payment(tx, event, event.data.payment, "authorised")


async def payment_held(tx: Connection, event: Event[PaymentHeld]) -> None:
    """Logs that the payment waits for staff."""
    await _log_payment(tx, event, event.data.payment, "held for review")


async def payment_failed(tx: Connection, event: Event[PaymentFailed]) -> None:
    """Logs the failure."""
    await _log_payment(tx, event, event.data.payment, "failed")


async def payment_captured(tx: Connection, event: Event[PaymentCaptured]) -> None:
    """Counts the captured amount."""
    payment = event.data.payment
    assert payment is not None, "payments sets it"
    await _count_payment(tx, event, payment, Metric.PAYMENTS_CAPTURED, payment.captured)


async def payment_refunded(tx: Connection, event: Event[PaymentRefunded]) -> None:
    """Counts the amount of this refund."""
    payment = event.data.payment
    assert payment is not None, "payments sets it"
    await _count_payment(tx, event, payment, Metric.PAYMENTS_REFUNDED, event.data.amount)


async def message_posted(tx: Connection, event: Event[MessagePosted]) -> None:
    """Logs that a message was posted, without its text."""
    await _log(tx, event, event.data.sender, "posted a message")


async def variant_exposed(tx: Connection, event: Event[VariantExposed]) -> None:
    """Counts that a user saw a variant of an experiment."""
    exposed = event.data
    assert exposed.expose_time is not None, "recommendations sets it"
    await _log(tx, event, exposed.user, f"saw {exposed.variant} of the experiment {exposed.experiment}")
    time = exposed.expose_time.to_datetime()
    await metric_storage.add(tx, variant_tallies(Metric.EXPOSURES, exposed.experiment, exposed.variant, time))


async def variant_converted(tx: Connection, event: Event[VariantConverted]) -> None:
    """Counts that a user who saw a variant did what the experiment aims at."""
    converted = event.data
    assert converted.convert_time is not None, "recommendations sets it"
    await _log(tx, event, converted.user, f"ordered after {converted.variant} of the experiment {converted.experiment}")
    time = converted.convert_time.to_datetime()
    await metric_storage.add(tx, variant_tallies(Metric.CONVERSIONS, converted.experiment, converted.variant, time))


async def _count_order(tx: Connection, event: Event[Any], order: Order | None, metric: Metric) -> None:
    """Logs and counts an order in the interval of its last change, which the event announces."""
    assert order is not None, "orders sets it"
    assert order.total is not None, "orders sets it"
    assert order.update_time is not None, "orders sets it"
    units, amount = sum(line.quantity for line in order.lines), money_of(order.total)
    step = SaleStep(metric, order.name, units, amount, order.update_time.to_datetime())
    verb = metric.removeprefix("orders_")
    await _log(tx, event, order.customer, f"{verb}: {units} {'unit' if units == 1 else 'units'}, {_amount(amount)}")
    await _count(tx, step, _lines(order), order.customer)


async def _count_payment(
    tx: Connection, event: Event[Any], payment: Payment, metric: Metric, message: MoneyMessage | None
) -> None:
    """Logs and counts an amount, which is absent if it is zero."""
    if message is None:
        assert payment.amount is not None, "payments sets it"
        message = MoneyMessage(currency_code=payment.amount.currency_code)
    amount = money_of(message)
    await _log(tx, event, payment.customer, f"{metric.removeprefix('payments_')}: {_amount(amount)}")
    await _count(tx, SaleStep(metric, payment.order, 0, amount, event.time), [], payment.customer)


async def _count(tx: Connection, step: SaleStep, lines: Sequence[SaleLine], customer: str) -> None:
    """Counts a step. The customer is empty if the account was deleted."""
    await metric_storage.add(tx, tallies(step, lines))
    await sale_storage.insert(tx, step, await people_storage.person_of(tx, customer) if customer else None)


async def _log_payment(tx: Connection, event: Event[Any], payment: Payment | None, what: str) -> None:
    assert payment is not None, "payments sets it"
    await _log(tx, event, payment.customer, what)


async def _log(tx: Connection, event: Event[Any], actor: str, description: str) -> None:
    name = event.type.rpartition(".")[2]
    entry = Entry(event.source, event.id, name, event.aggregate, actor, description, event.time)
    await audit_storage.append(tx, entry)


def _lines(order: Order) -> list[SaleLine]:
    lines = []
    for line in order.lines:
        assert line.amount is not None, "orders sets it"
        lines.append(SaleLine(line.product, line.quantity, money_of(line.amount)))
    return lines


def _amount(amount: Money) -> str:
    units, hundredths = divmod(amount.hundredths, 100)
    return f"{units}.{hundredths:02} {amount.currency}"
