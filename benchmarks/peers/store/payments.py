"""The payments: authorised and captured at a provider, with a ledger."""

import enum
from datetime import datetime
from uuid import UUID, uuid4

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict
from sqlalchemy import DateTime, ForeignKey, func, select
from sqlalchemy.orm import Mapped, mapped_column

from benchmarks.peers.store.broker import Broker, Subscriptions
from benchmarks.peers.store.database import Base, SessionDependency, Sessions
from benchmarks.peers.store.events import PaymentCaptured, PaymentFailed, PaymentRequested
from benchmarks.peers.store.service import Service
from benchmarks.peers.store.tokens import STAFF, CurrentUser

router = APIRouter()


class PaymentStatus(enum.StrEnum):
    """The states of a payment."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"


class Payment(Base):
    """The payment for an order."""

    __tablename__ = "payments"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(unique=True)
    customer: Mapped[str] = mapped_column(index=True)
    payment_method: Mapped[str]
    currency: Mapped[str]
    amount_cents: Mapped[int]
    status: Mapped[str] = mapped_column(default=PaymentStatus.PENDING)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), onupdate=func.now()
    )


class LedgerEntry(Base):
    """An entry of the ledger. A debit is positive."""

    __tablename__ = "ledger_entries"

    id: Mapped[int] = mapped_column(primary_key=True)
    payment_id: Mapped[UUID] = mapped_column(ForeignKey("payments.id"), index=True)
    account: Mapped[str]
    currency: Mapped[str]
    amount_cents: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())


class PaymentOut(BaseModel):
    """A payment."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    order_id: UUID
    status: PaymentStatus
    currency: str
    amount_cents: int


@router.get("/payments/{payment_id}")
async def get_payment(payment_id: UUID, user: CurrentUser, session: SessionDependency) -> PaymentOut:
    """Returns a payment of the caller, or any payment to staff."""
    payment = await session.get(Payment, payment_id)
    if payment is None or (payment.customer != user.id and STAFF not in user.scopes):
        raise HTTPException(404, "There is no such payment.")
    return PaymentOut.model_validate(payment)


class Provider:
    """A payment provider for trials, which answers as the card says."""

    async def authorize(self, payment: Payment) -> bool:
        """Sets the amount aside; returns False if the card is declined."""
        return payment.payment_method == "card_ok"

    async def capture(self, _payment: Payment) -> None:
        """Takes the amount."""


class Consumers:
    """The handlers of events."""

    def __init__(self, sessions: Sessions, broker: Broker) -> None:
        self._sessions = sessions
        self._broker = broker
        self._provider = Provider()

    def subscriptions(self) -> Subscriptions:
        """Returns the handler of each event."""
        return {PaymentRequested: self.pay}

    async def pay(self, event: PaymentRequested) -> None:
        """Authorises and captures the payment of an order. The provider is called outside of transactions."""
        payment = await self._begin(event)
        if payment is None:
            return
        if not await self._provider.authorize(payment):
            await self._move(payment, PaymentStatus.FAILED)
            await self._broker.publish(PaymentFailed(order_id=payment.order_id, payment_id=payment.id))
            return
        await self._move(payment, PaymentStatus.AUTHORIZED)
        await self._provider.capture(payment)
        await self._move(payment, PaymentStatus.CAPTURED, *_capture_posting(payment))
        await self._broker.publish(PaymentCaptured(order_id=payment.order_id, payment_id=payment.id))

    async def _begin(self, event: PaymentRequested) -> Payment | None:
        """Inserts the payment of an order; returns None if there is one."""
        async with self._sessions.begin() as session:
            if await session.scalar(select(Payment.id).where(Payment.order_id == event.order_id)) is not None:
                return None
            payment = Payment(**event.model_dump())
            session.add(payment)
        return payment

    async def _move(self, payment: Payment, status: PaymentStatus, *entries: LedgerEntry) -> None:
        async with self._sessions.begin() as session:
            session.add(payment)
            payment.status = status
            session.add_all(entries)


def _capture_posting(payment: Payment) -> tuple[LedgerEntry, LedgerEntry]:
    amounts = {"provider": payment.amount_cents, "sales": -payment.amount_cents}
    debit, credit = (
        LedgerEntry(payment_id=payment.id, account=account, currency=payment.currency, amount_cents=amount_cents)
        for account, amount_cents in amounts.items()
    )
    return debit, credit


service = Service("payments", router, lambda sessions, broker: Consumers(sessions, broker).subscriptions())
