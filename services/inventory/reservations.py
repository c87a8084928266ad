"""Reservations: what an order takes out of the stock, and gives back. Calls and events take these same steps.

Each step locks the order's reservation, then the stock of its products, and can be repeated without effect.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from meshwright.inventory.v1.events_pb import StockLow, StockRejected, StockReserved

from mesh.database import Connection
from mesh.events import publish
from services.inventory import storage
from services.inventory.domain import Reservation, Shortage, State, Stock, shortages
from services.inventory.messages import reservation_message, shortage_message, stock_message

SOURCE = "inventory"

Step = Callable[[Stock, int, datetime], Stock]


async def reserve(
    tx: Connection, order: str, units: Mapping[str, int], now: datetime, valid_for: timedelta
) -> Reservation:
    """Reserves these units for an order, all or none, and publishes the outcome. Returns the reservation as it is if
    the order has one already, or was released.
    """
    expire_time = now + valid_for
    if (current := await storage.begin(tx, order, expire_time)) is not None:
        return current
    wanted = Reservation(order, State.RESERVED, units, expire_time)
    missing = await _take(tx, wanted, [Stock.reserve], now)
    reservation = wanted.move_to(State.REJECTED) if missing else wanted
    await storage.settle(tx, reservation)
    await _publish_outcome(tx, reservation, missing)
    return reservation


async def release(tx: Connection, order: str, now: datetime) -> Reservation:
    """Makes the units of an order available again, also those that were committed. An order without a reservation can
    have none afterwards.
    """
    current = await storage.begin(tx, order, now)
    match current:
        case None:
            return Reservation(order, State.RELEASED, {}, now)
        case Reservation(state=State.RESERVED):
            return await _end(tx, current, Stock.release, State.RELEASED, now)
        case Reservation(state=State.COMMITTED):
            return await _end(tx, current, Stock.put_back, State.RETURNED, now)
        case Reservation(state=State.REJECTED | State.EXPIRED):
            released = current.move_to(State.RELEASED)
            await storage.write(tx, released)
            return released
        case _:
            return current


async def commit(tx: Connection, order: str, now: datetime) -> Reservation | None:
    """Takes the units of a paid order out of the stock. An expired reservation is made again; if that fails, it stays
    expired, and the outcome is published, so that the order is cancelled. Returns None if the order has no reservation.
    """
    current = await storage.find_reservation(tx, order)
    if current is None:
        return None
    if current.state is State.RESERVED:
        return await _end(tx, current, Stock.commit, State.COMMITTED, now)
    if current.state is State.EXPIRED:
        missing = await _take(tx, current, [Stock.reserve, Stock.commit], now)
        if missing:
            await _publish_outcome(tx, current, missing)
            return current
        committed = current.move_to(State.COMMITTED)
        await storage.write(tx, committed)
        return committed
    return current


async def expire_one(tx: Connection, now: datetime) -> bool:
    """Makes the units of the reservation that expired first available again, and publishes it. Returns False if there
    is none.
    """
    reservation = await storage.take_expired(tx, now)
    if reservation is None:
        return False
    await _publish_outcome(tx, await _end(tx, reservation, Stock.release, State.EXPIRED, now), ())
    return True


async def write_stock(tx: Connection, before: Mapping[str, Stock], after: Sequence[Stock]) -> None:
    """Writes changed stock, and publishes which products became low by it."""
    for low in await storage.update(tx, before, after):
        await publish(tx, StockLow(stock=stock_message(low)), source=SOURCE, aggregate=low.name)


async def _take(tx: Connection, reservation: Reservation, steps: Sequence[Step], now: datetime) -> tuple[Shortage, ...]:
    """Takes the steps for all units of a reservation, unless some are missing, which are returned."""
    stock = await storage.lock(tx, reservation.units)
    missing = shortages(reservation.units, stock)
    if not missing:
        await write_stock(tx, stock, [_after(stock[each], steps, reservation, now) for each in reservation.units])
    return missing


async def _end(tx: Connection, reservation: Reservation, step: Step, state: State, now: datetime) -> Reservation:
    stock = await storage.lock(tx, reservation.units)
    await write_stock(tx, stock, [_after(stock[each], [step], reservation, now) for each in reservation.units])
    ended = reservation.move_to(state)
    await storage.write(tx, ended)
    return ended


def _after(stock: Stock, steps: Sequence[Step], reservation: Reservation, now: datetime) -> Stock:
    for step in steps:
        stock = step(stock, reservation.units[stock.product], now)
    return stock


async def _publish_outcome(tx: Connection, reservation: Reservation, missing: Sequence[Shortage]) -> None:
    message = reservation_message(reservation)
    event = (
        StockReserved(reservation=message)
        if reservation.holds_units
        else StockRejected(reservation=message, shortages=[shortage_message(each) for each in missing])
    )
    await publish(tx, event, source=SOURCE, aggregate=reservation.order)
