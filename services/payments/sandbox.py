"""The sandbox: a payment provider for trials and tests, whose cards behave as their names say.

It keeps its own records, in transactions of its own, so that they outlive a process that dies in the middle of a call.
An authorisation or a capture does not wait for the disk: what the service records about it afterwards does, and has it
written too, because a database has one log.
"""

import enum
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from mesh.database import Connection, Database
from mesh.money import Money
from services.payments.provider import Outcome, ProviderError

REPORT_AFTER: Final = timedelta(seconds=2)
UNKNOWN_ASKED: Final = 3


class Card(enum.StrEnum):
    """The test cards."""

    OK = "card_ok"
    DECLINED = "card_declined"
    TIMEOUT = "card_timeout"  # the first call has no answer, but its effect
    UNKNOWN = "card_unknown"  # the first calls have no answer
    LATE = "card_late"  # the outcome is known after REPORT_AFTER, and is reported then
    TWICE = "card_twice"  # the outcome is reported twice


_OUTCOMES: Final = {
    "processing": Outcome.PROCESSING,
    "authorized": Outcome.AUTHORIZED,
    "declined": Outcome.DECLINED,
    "captured": Outcome.CAPTURED,
    "voided": Outcome.VOIDED,
}


class Sandbox:
    """The provider (services.payments.provider.Provider)."""

    def __init__(self, database: Database, *, report_after: timedelta = REPORT_AFTER) -> None:
        self._database = database
        self._report_after = report_after

    async def authorize(self, key: UUID, payment_method: str, amount: Money) -> Outcome:
        """Authorises a charge, with the outcome that the card stands for."""
        if payment_method not in set(Card):
            return Outcome.UNKNOWN_METHOD
        card = Card(payment_method)
        async with self._database.autocommit() as connection:
            row = await self._ask(connection, key, card, amount)
        silent = {Card.TIMEOUT: 1, Card.UNKNOWN: UNKNOWN_ASKED}.get(card, 0)
        if row["asked"] <= silent:
            raise ProviderError("the sandbox does not answer, as its card says")
        return _OUTCOMES[row["state"]]

    async def _ask(self, connection: Connection, key: UUID, card: Card, amount: Money) -> "asyncpg.Record":
        """Makes a charge unless there is one, with its reports, and counts how often it was asked for."""
        state = {Card.DECLINED: "declined", Card.LATE: "processing"}.get(card, "authorized")
        now = datetime.now(UTC)
        row = await connection.fetchrow(
            """
            WITH charge AS (
                INSERT INTO sandbox_charges AS old (key, card, currency, amount_hundredths, state, create_time, asked)
                VALUES ($1, $2, $3, $4, $5, $6, 1) ON CONFLICT (key) DO UPDATE SET asked = old.asked + 1
                RETURNING key, state, asked, xmax = 0 AS is_new
            ), report AS (
                INSERT INTO sandbox_reports SELECT key, $7, $8 FROM charge WHERE is_new AND $8 > 0
            )
            SELECT state, asked, set_config('synchronous_commit', 'off', true) FROM charge
            """,
            key,
            card.value,
            amount.currency,
            amount.hundredths,
            state,
            now,
            now + self._report_after if card is Card.LATE else now,
            {Card.LATE: 1, Card.TWICE: 2}.get(card, 0),
        )
        assert row is not None, "the statement returns one"
        return row

    async def capture(self, key: UUID) -> Outcome:
        """Captures an authorised charge."""
        return await self._move(key, "authorized", "captured")

    async def void(self, key: UUID) -> Outcome:
        """Voids a charge, unless it is captured. One that does not exist is made, and voided."""
        async with self._database.transaction() as tx:
            await tx.execute(
                """
                INSERT INTO sandbox_charges (key, card, currency, amount_hundredths, state, create_time)
                VALUES ($1, '', '', 0, 'voided', now()) ON CONFLICT (key) DO UPDATE SET state = 'voided'
                WHERE sandbox_charges.state <> 'captured'
                """,
                key,
            )
            return _OUTCOMES[await tx.fetchval("SELECT state FROM sandbox_charges WHERE key = $1", key)]

    async def _move(self, key: UUID, before: str, after: str) -> Outcome:
        async with self._database.autocommit() as connection:
            query = """
                UPDATE sandbox_charges SET state = $3 WHERE key = $1 AND state = $2
                RETURNING state, set_config('synchronous_commit', 'off', true)
            """
            state = await connection.fetchval(query, key, before, after)
        if state is None:  # it is in another state
            async with self._database.autocommit() as connection:
                state = await connection.fetchval("SELECT state FROM sandbox_charges WHERE key = $1", key)
        return _OUTCOMES[state]

    async def refund(self, key: UUID, charge: UUID, amount: Money) -> None:
        """Pays back an amount, once for each key."""
        async with self._database.transaction() as tx:
            new = await tx.fetchval(
                """
                INSERT INTO sandbox_refunds (key, charge_key, amount_hundredths) VALUES ($1, $2, $3)
                ON CONFLICT (key) DO NOTHING RETURNING true
                """,
                key,
                charge,
                amount.hundredths,
            )
            if new:
                query = "UPDATE sandbox_charges SET refunded_hundredths = refunded_hundredths + $2 WHERE key = $1"
                await tx.execute(query, charge, amount.hundredths)

    async def take_report(self) -> UUID | None:
        """Returns the charge whose report is due first, None if there is none. The charge is decided by then. A report
        that can't be delivered is lost: the service asks by itself.
        """
        async with self._database.transaction() as tx:
            key: UUID | None = await tx.fetchval(
                """
                UPDATE sandbox_reports SET times = times - 1 WHERE charge_key = (
                    SELECT charge_key FROM sandbox_reports WHERE due_time <= now() ORDER BY due_time LIMIT 1
                    FOR UPDATE SKIP LOCKED
                ) RETURNING charge_key
                """
            )
            if key is not None:
                await tx.execute("DELETE FROM sandbox_reports WHERE charge_key = $1 AND times <= 0", key)
                query = "UPDATE sandbox_charges SET state = 'authorized' WHERE key = $1 AND state = 'processing'"
                await tx.execute(query, key)
            return key
