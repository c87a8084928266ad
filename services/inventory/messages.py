"""Messages of stock and reservations, made of the domain's values."""

from meshwright.inventory.v1.inventory_pb import Adjustment as AdjustmentMessage
from meshwright.inventory.v1.inventory_pb import Availability, OrderedUnits, ReorderProposal
from meshwright.inventory.v1.inventory_pb import Reservation as ReservationMessage
from meshwright.inventory.v1.inventory_pb import Shortage as ShortageMessage
from meshwright.inventory.v1.inventory_pb import Stock as StockMessage
from protobuf.wkt import Timestamp

from services.inventory.domain import Reservation, Shortage, State, Stock
from services.inventory.storage import Adjustment

SHOWN_UNITS_MAX = 100

# The contract has one state for units that are available again, whether they were committed before or not.
_STATES = {state: ReservationMessage.State[state.name] for state in State if state is not State.RETURNED} | {
    State.RETURNED: ReservationMessage.State.RELEASED
}


def stock_message(stock: Stock) -> StockMessage:
    """Returns the stock of a product as a message."""
    return StockMessage(
        name=stock.name,
        product=stock.product,
        on_hand=stock.on_hand,
        reserved=stock.reserved,
        available=stock.available,
        reorder_level=stock.reorder_level,
        reorder_quantity=stock.reorder_quantity,
        update_time=Timestamp.from_datetime(stock.update_time),
        etag=stock.etag,
    )


def availability(name: str, stock: Stock | None) -> Availability:
    """Returns how many units can be ordered, as anybody may know it: none of a deleted product."""
    orderable = 0 if stock is None or stock.deleted else stock.available
    return Availability(name=name, units=min(orderable, SHOWN_UNITS_MAX))


def adjustment_message(adjustment: Adjustment) -> AdjustmentMessage:
    """Returns an adjustment as a message."""
    return AdjustmentMessage(
        delta=adjustment.delta,
        reason=AdjustmentMessage.Reason[adjustment.reason],
        note=adjustment.note,
        product=adjustment.product,
        actor=adjustment.actor,
        create_time=Timestamp.from_datetime(adjustment.create_time),
    )


def proposal_message(stock: Stock) -> ReorderProposal:
    """Returns what to reorder of a product that runs low."""
    return ReorderProposal(
        product=stock.product,
        available=stock.available,
        reorder_level=stock.reorder_level,
        quantity=stock.proposed,
    )


def reservation_message(reservation: Reservation) -> ReservationMessage:
    """Returns a reservation as a message."""
    return ReservationMessage(
        order=reservation.order,
        state=_STATES[reservation.state],
        units=[
            OrderedUnits(product=product, quantity=quantity) for product, quantity in sorted(reservation.units.items())
        ],
        expire_time=Timestamp.from_datetime(reservation.expire_time),
    )


def shortage_message(shortage: Shortage) -> ShortageMessage:
    """Returns a shortage as a message."""
    return ShortageMessage(product=shortage.product, wanted=shortage.wanted, available=shortage.available)
