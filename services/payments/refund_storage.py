"""The SQL of refunds. Every function runs in its caller's transaction."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mesh.database import Connection
from mesh.erased_users import ERASED_USER, erase_in_parts
from mesh.money import Money
from services.payments.domain import Payment


@dataclass(frozen=True, slots=True)
class Refund:
    """An amount that is to be paid back. The actor is the member of staff who refunds it, empty if nobody does, because
    the order was cancelled.
    """

    uid: UUID
    payment: UUID
    amount: Money
    reason: str
    actor: str


async def insert(tx: Connection, refund: Refund, now: datetime) -> None:
    """Records a refund to be paid. The payment must be locked, and updated afterwards."""
    await tx.execute(
        """
        INSERT INTO refunds (uid, payment_uid, amount_hundredths, reason, actor, create_time)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        refund.uid,
        refund.payment,
        refund.amount.hundredths,
        refund.reason,
        refund.actor,
        now,
    )


async def list_open(tx: Connection, payment: Payment) -> list[Refund]:
    """Returns the refunds of a payment that are still to be paid, the oldest first."""
    rows = await tx.fetch(
        """
        SELECT uid, amount_hundredths, reason, actor FROM refunds WHERE payment_uid = $1 AND done_time IS NULL
        ORDER BY create_time, uid
        """,
        payment.uid,
    )
    currency = payment.amount.currency
    return [
        Refund(row["uid"], payment.uid, Money(currency, row["amount_hundredths"]), row["reason"], row["actor"])
        for row in rows
    ]


async def finish(tx: Connection, refund: Refund, now: datetime) -> bool:
    """Records that an amount was paid back; returns False if that is recorded already."""
    query = "UPDATE refunds SET done_time = $2 WHERE uid = $1 AND done_time IS NULL RETURNING true"
    return await tx.fetchval(query, refund.uid, now) is not None


async def anonymise(tx: Connection, actor: str) -> None:
    """Removes a member of staff from the refunds that they made."""
    await erase_in_parts(
        tx,
        actor,
        find="SELECT uid FROM refunds WHERE actor = $1 AND actor <> ''",
        erase=f"UPDATE refunds SET actor = '{ERASED_USER}' WHERE uid = ANY($1::uuid[])",
    )
