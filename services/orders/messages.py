"""Orders, their lines, shipments and changes as messages of the contract."""

from meshwright.orders.v1.orders_pb import Order as OrderMessage
from meshwright.orders.v1.orders_pb import OrderChange as OrderChangeMessage
from meshwright.orders.v1.orders_pb import OrderLine as OrderLineMessage
from meshwright.orders.v1.orders_pb import Shipment as ShipmentMessage
from meshwright.orders.v1.orders_pb import ShipmentEvent as ShipmentEventMessage
from protobuf.wkt import Timestamp

from mesh.money_message import money_message
from services.orders.change_storage import Change
from services.orders.domain import CancelReason, Order, OrderLine, PendingStep, Shipment, ShipmentEvent


def order_message(order: Order) -> OrderMessage:
    """Returns the message of an order."""
    return OrderMessage(
        name=order.name,
        uid=str(order.uid),
        customer=order.customer,
        lines=[_line_message(line) for line in order.lines],
        total=money_message(order.total),
        state=OrderMessage.State[order.state.name],
        create_time=Timestamp.from_datetime(order.create_time),
        update_time=Timestamp.from_datetime(order.update_time),
        etag=order.etag,
        payment_method=order.payment_method,
        pending_step=_step(order.pending_step),
        cancel_reason=_cancel_reason(order.cancel_reason),
        payment=order.payment,
        refunded=None if order.refunded is None else money_message(order.refunded),
        shipment=None if order.shipment is None else _shipment_message(order.shipment),
    )


def change_message(change: Change) -> OrderChangeMessage:
    """Returns the message of a change of an order."""
    return OrderChangeMessage(
        change_time=Timestamp.from_datetime(change.time),
        actor=change.actor,
        state=OrderMessage.State[change.state.name],
        pending_step=_step(change.pending_step),
        reason=change.reason,
    )


def _line_message(line: OrderLine) -> OrderLineMessage:
    return OrderLineMessage(
        product=line.product,
        quantity=line.quantity,
        title=line.title,
        unit_price=money_message(line.unit_price),
        amount=money_message(line.amount),
    )


def _shipment_message(shipment: Shipment) -> ShipmentMessage:
    return ShipmentMessage(
        carrier=shipment.carrier,
        tracking_number=shipment.tracking_number,
        ship_time=Timestamp.from_datetime(shipment.ship_time),
        events=[_event_message(event) for event in sorted(shipment.events, key=lambda event: event.time)],
    )


def _event_message(event: ShipmentEvent) -> ShipmentEventMessage:
    return ShipmentEventMessage(
        kind=ShipmentEventMessage.Kind[event.kind.name],
        description=event.description,
        event_time=Timestamp.from_datetime(event.time),
    )


def _step(step: PendingStep | None) -> OrderMessage.PendingStep:
    return OrderMessage.PendingStep.UNSPECIFIED if step is None else OrderMessage.PendingStep[step.name]


def _cancel_reason(reason: CancelReason | None) -> OrderMessage.CancelReason:
    return OrderMessage.CancelReason.UNSPECIFIED if reason is None else OrderMessage.CancelReason[reason.name]
