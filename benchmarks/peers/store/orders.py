"""The orders: placed by a request, confirmed or cancelled by events."""

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, ForeignKey, func, select
from sqlalchemy.orm import Mapped, mapped_column, relationship, selectinload

from benchmarks.peers.store.broker import Broker, Subscriptions
from benchmarks.peers.store.database import Base, SessionDependency, Sessions
from benchmarks.peers.store.events import (
    Line,
    OrderCancelled,
    OrderConfirmed,
    OrderPlaced,
    PaymentCaptured,
    PaymentFailed,
    PaymentRequested,
    StockRejected,
    StockReserved,
)
from benchmarks.peers.store.service import Service
from benchmarks.peers.store.tokens import STAFF, CurrentUser

router = APIRouter()


class OrderStatus(enum.StrEnum):
    """The states of an order."""

    PLACED = "placed"
    RESERVED = "reserved"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"


class Order(Base):
    """An order."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    customer: Mapped[str] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(default=OrderStatus.PLACED)
    payment_method: Mapped[str]
    payment_id: Mapped[UUID | None]
    currency: Mapped[str]
    total_cents: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )
    lines: Mapped[list["OrderLine"]] = relationship(order_by="OrderLine.position")


class OrderLine(Base):
    """A line of an order, with the title and the price that the product had."""

    __tablename__ = "order_lines"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    product_id: Mapped[UUID]
    title: Mapped[str]
    quantity: Mapped[int]
    price_cents: Mapped[int]


class OrderLineIn(BaseModel):
    """A line that a customer orders."""

    product_id: UUID
    quantity: int = Field(ge=1, le=1000)


class OrderIn(BaseModel):
    """An order that a customer places."""

    lines: list[OrderLineIn] = Field(min_length=1, max_length=100)
    payment_method: str = Field("card_ok", pattern="^[a-z0-9_]{1,64}$")


class OrderLineOut(BaseModel):
    """A line of an order."""

    model_config = ConfigDict(from_attributes=True)

    product_id: UUID
    title: str
    quantity: int
    price_cents: int


class OrderOut(BaseModel):
    """An order."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    customer: str
    status: OrderStatus
    payment_id: UUID | None
    currency: str
    total_cents: int
    created_at: datetime
    updated_at: datetime
    lines: list[OrderLineOut]


class CatalogProduct(BaseModel):
    """A product, as the catalog returns it."""

    id: UUID
    title: str
    currency: str
    price_cents: int


@router.post("/orders", status_code=201)
async def create_order(body: OrderIn, user: CurrentUser, session: SessionDependency, request: Request) -> OrderOut:
    """Places an order: asks the catalog for the prices, stores the order, and publishes it."""
    products = await _products(request.app.state.catalog, [line.product_id for line in body.lines])
    if unknown := [str(line.product_id) for line in body.lines if line.product_id not in products]:
        raise HTTPException(422, f"not on sale: {', '.join(unknown)}")
    currencies = {product.currency for product in products.values()}
    if len(currencies) > 1:
        raise HTTPException(422, "The products have prices in several currencies.")
    lines = [
        OrderLine(
            position=position,
            product_id=line.product_id,
            title=products[line.product_id].title,
            quantity=line.quantity,
            price_cents=products[line.product_id].price_cents,
        )
        for position, line in enumerate(body.lines)
    ]
    order = Order(
        customer=user.id,
        payment_method=body.payment_method,
        currency=currencies.pop(),
        total_cents=sum(line.quantity * line.price_cents for line in lines),
        lines=lines,
    )
    session.add(order)
    await session.commit()
    ordered = [Line(product_id=line.product_id, quantity=line.quantity) for line in lines]
    await request.app.state.broker.publish(OrderPlaced(order_id=order.id, lines=ordered))
    return OrderOut.model_validate(order)


@router.get("/orders/{order_id}")
async def get_order(order_id: UUID, user: CurrentUser, session: SessionDependency) -> OrderOut:
    """Returns an order of the caller, or any order to staff."""
    order = await session.get(Order, order_id, options=[selectinload(Order.lines)])
    if order is None or (order.customer != user.id and STAFF not in user.scopes):
        raise HTTPException(404, "There is no such order.")
    return OrderOut.model_validate(order)


async def _products(catalog: httpx.AsyncClient, product_ids: Sequence[UUID]) -> dict[UUID, CatalogProduct]:
    try:
        response = await catalog.get("/products", params={"id": [str(each) for each in product_ids]})
        response.raise_for_status()
    except httpx.HTTPError as error:
        raise HTTPException(503, f"The catalog does not answer: {error!r}") from error
    return {product.id: product for product in map(CatalogProduct.model_validate, response.json())}


class Consumers:
    """The handlers of events."""

    def __init__(self, sessions: Sessions, broker: Broker) -> None:
        self._sessions = sessions
        self._broker = broker

    def subscriptions(self) -> Subscriptions:
        """Returns the handler of each event."""
        return {
            StockReserved: self.stock_reserved,
            StockRejected: self.stock_rejected,
            PaymentCaptured: self.payment_captured,
            PaymentFailed: self.payment_failed,
        }

    async def stock_reserved(self, event: StockReserved) -> None:
        """Requests the payment of an order."""
        order = await self._move(event.order_id, OrderStatus.PLACED, OrderStatus.RESERVED)
        if order is not None:
            await self._broker.publish(
                PaymentRequested(
                    order_id=order.id,
                    customer=order.customer,
                    payment_method=order.payment_method,
                    currency=order.currency,
                    amount_cents=order.total_cents,
                )
            )

    async def stock_rejected(self, event: StockRejected) -> None:
        """Cancels an order whose products are not in stock."""
        if await self._move(event.order_id, OrderStatus.PLACED, OrderStatus.CANCELLED):
            await self._broker.publish(OrderCancelled(order_id=event.order_id))

    async def payment_captured(self, event: PaymentCaptured) -> None:
        """Confirms an order that is paid."""
        paid = {"payment_id": event.payment_id}
        if await self._move(event.order_id, OrderStatus.RESERVED, OrderStatus.CONFIRMED, **paid):
            await self._broker.publish(OrderConfirmed(order_id=event.order_id))

    async def payment_failed(self, event: PaymentFailed) -> None:
        """Cancels an order whose payment failed."""
        if await self._move(event.order_id, OrderStatus.RESERVED, OrderStatus.CANCELLED, payment_id=event.payment_id):
            await self._broker.publish(OrderCancelled(order_id=event.order_id))

    async def _move(self, order_id: UUID, before: OrderStatus, after: OrderStatus, **fields: Any) -> Order | None:
        """Moves an order from one state to another; returns None if it is in a third one."""
        async with self._sessions.begin() as session:
            order = await session.scalar(select(Order).where(Order.id == order_id).with_for_update())
            if order is None or order.status != before:
                return None
            order.status = after
            for name, value in fields.items():
                setattr(order, name, value)
            return order


service = Service("orders", router, lambda sessions, broker: Consumers(sessions, broker).subscriptions())
