"""The events of the twin."""

from uuid import UUID

from pydantic import BaseModel


class Line(BaseModel):
    """A quantity of a product."""

    product_id: UUID
    quantity: int


class OrderPlaced(BaseModel):
    """An order was placed: its products are to be reserved."""

    order_id: UUID
    lines: list[Line]


class StockReserved(BaseModel):
    """The products of an order are reserved."""

    order_id: UUID


class StockRejected(BaseModel):
    """The products of an order are not in stock."""

    order_id: UUID


class PaymentRequested(BaseModel):
    """The products of an order are reserved: its payment is to be made."""

    order_id: UUID
    customer: str
    payment_method: str
    currency: str
    amount_cents: int


class PaymentCaptured(BaseModel):
    """An order is paid."""

    order_id: UUID
    payment_id: UUID


class PaymentFailed(BaseModel):
    """The payment of an order failed."""

    order_id: UUID
    payment_id: UUID


class OrderConfirmed(BaseModel):
    """An order is paid: its products leave the stock."""

    order_id: UUID


class OrderCancelled(BaseModel):
    """An order was cancelled: its products return to the stock."""

    order_id: UUID
