"""The inventory: stock, and what is reserved for orders."""

import enum
from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import CheckConstraint, ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload

from benchmarks.peers.store.broker import Broker, Subscriptions
from benchmarks.peers.store.database import Base, SessionDependency, Sessions
from benchmarks.peers.store.events import OrderCancelled, OrderConfirmed, OrderPlaced, StockRejected, StockReserved
from benchmarks.peers.store.service import Service
from benchmarks.peers.store.tokens import StaffUser

router = APIRouter()


class Stock(Base):
    """The units of a product."""

    __tablename__ = "stock"
    __table_args__ = (CheckConstraint("reserved >= 0 AND reserved <= on_hand"),)

    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    on_hand: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)


class ReservationStatus(enum.StrEnum):
    """The states of a reservation."""

    RESERVED = "reserved"
    REJECTED = "rejected"
    COMMITTED = "committed"
    RELEASED = "released"


class Reservation(Base):
    """The units that are reserved for an order."""

    __tablename__ = "reservations"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]
    items: Mapped[list["ReservationItem"]] = relationship()


class ReservationItem(Base):
    """The units of one product in a reservation."""

    __tablename__ = "reservation_items"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("reservations.order_id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    quantity: Mapped[int]


class Adjustment(BaseModel):
    """A number of units that arrive."""

    delta: int = Field(ge=1)


class StockOut(BaseModel):
    """The units of a product."""

    model_config = ConfigDict(from_attributes=True)

    product_id: UUID
    on_hand: int
    reserved: int


@router.post("/stock/{product_id}/adjustments")
async def adjust(product_id: UUID, body: Adjustment, session: SessionDependency, _: StaffUser) -> StockOut:
    """Adds units to the stock of a product."""
    stock = await session.get(Stock, product_id, with_for_update=True)
    if stock is None:
        stock = Stock(product_id=product_id, on_hand=0, reserved=0)
        session.add(stock)
    stock.on_hand += body.delta
    await session.commit()
    return StockOut.model_validate(stock)


@router.get("/stock/{product_id}")
async def get_stock(product_id: UUID, session: SessionDependency) -> StockOut:
    """Returns the units of a product."""
    stock = await session.get(Stock, product_id) or Stock(product_id=product_id, on_hand=0, reserved=0)
    return StockOut.model_validate(stock)


class Consumers:
    """The handlers of events."""

    def __init__(self, sessions: Sessions, broker: Broker) -> None:
        self._sessions = sessions
        self._broker = broker

    def subscriptions(self) -> Subscriptions:
        """Returns the handler of each event."""
        return {OrderPlaced: self.reserve, OrderConfirmed: self.commit, OrderCancelled: self.release}

    async def reserve(self, event: OrderPlaced) -> None:
        """Reserves the products of an order, all or none."""
        wanted = Counter[UUID]()
        for line in event.lines:
            wanted[line.product_id] += line.quantity
        async with self._sessions.begin() as session:
            if await session.get(Reservation, event.order_id) is not None:
                return
            stock = await _lock(session, wanted)
            missing = any(
                product not in stock or stock[product].on_hand - stock[product].reserved < quantity
                for product, quantity in wanted.items()
            )
            if missing:
                session.add(Reservation(order_id=event.order_id, status=ReservationStatus.REJECTED))
            else:
                for product, quantity in wanted.items():
                    stock[product].reserved += quantity
                items = [ReservationItem(product_id=product, quantity=wanted[product]) for product in wanted]
                session.add(Reservation(order_id=event.order_id, status=ReservationStatus.RESERVED, items=items))
        outcome = StockRejected if missing else StockReserved
        await self._broker.publish(outcome(order_id=event.order_id))

    async def commit(self, event: OrderConfirmed) -> None:
        """Takes the products of a paid order out of the stock."""
        async with self._sessions.begin() as session:
            reservation = await _find(session, event.order_id)
            if reservation is None or reservation.status != ReservationStatus.RESERVED:
                return
            stock = await _lock(session, [item.product_id for item in reservation.items])
            for item in reservation.items:
                stock[item.product_id].on_hand -= item.quantity
                stock[item.product_id].reserved -= item.quantity
            reservation.status = ReservationStatus.COMMITTED

    async def release(self, event: OrderCancelled) -> None:
        """Makes the products of a cancelled order available again."""
        async with self._sessions.begin() as session:
            reservation = await _find(session, event.order_id)
            if reservation is None or reservation.status != ReservationStatus.RESERVED:
                return
            stock = await _lock(session, [item.product_id for item in reservation.items])
            for item in reservation.items:
                stock[item.product_id].reserved -= item.quantity
            reservation.status = ReservationStatus.RELEASED


async def _find(session: AsyncSession, order_id: UUID) -> Reservation | None:
    """Returns the reservation of an order, locked."""
    return await session.get(Reservation, order_id, with_for_update=True, options=[selectinload(Reservation.items)])


async def _lock(session: AsyncSession, products: Iterable[UUID]) -> dict[UUID, Stock]:
    """Returns the stock of products, locked in a fixed order so that transactions can't deadlock."""
    query = select(Stock).where(Stock.product_id.in_(products)).order_by(Stock.product_id).with_for_update()
    return {stock.product_id: stock for stock in await session.scalars(query)}


service = Service("inventory", router, lambda sessions, broker: Consumers(sessions, broker).subscriptions())
