"""The SQL of the ledger. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from mesh.database import Connection
from mesh.money import Money
from mesh.pagination import Page
from mesh.position import Key
from services.payments.domain import Account, Payment

KEY_TYPES: Final[tuple[type[Key], ...]] = (int,)
"""The sort key of list_entries(): number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the ledger. A debit is positive."""

    number: int
    posting: UUID
    account: Account
    amount: Money
    payment: UUID
    create_time: datetime


async def post(tx: Connection, payment: Payment, posting: dict[Account, Money], now: datetime) -> None:
    """Adds the entries of a posting to the ledger."""
    uid = uuid4()
    await tx.executemany(
        """
        INSERT INTO ledger_entries (posting, account, currency, hundredths, payment_uid, create_time)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        [
            (uid, account.value, amount.currency, amount.hundredths, payment.uid, now)
            for account, amount in posting.items()
        ],
    )


async def list_entries(tx: Connection, payment: UUID | None, page: Page) -> tuple[Sequence[Entry], str]:
    """Returns a page of the ledger, the newest first, and the next page's token: of one payment, or of all if None."""
    conditions, arguments = ["true"], [page.limit]  # type: list[str], list[object]
    if payment is not None:
        arguments.append(payment)
        conditions.append("payment_uid = $2")
    if page.after:
        arguments.extend(page.after)
        conditions.append(f"number < ${len(arguments)}")
    rows = await tx.fetch(
        f"""
        SELECT number, posting, account, currency, hundredths, payment_uid, create_time FROM ledger_entries
        WHERE {" AND ".join(conditions)} ORDER BY number DESC LIMIT $1
        """,
        *arguments,
    )
    entries = [
        Entry(
            row["number"],
            row["posting"],
            Account(row["account"]),
            Money(row["currency"], row["hundredths"]),
            row["payment_uid"],
            row["create_time"],
        )
        for row in rows
    ]
    return page.split(entries, lambda entry: (entry.number,))
