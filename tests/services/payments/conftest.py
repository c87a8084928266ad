"""The database of the payments service, its worker, and payments to begin with."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from mesh.database import Database, WorkListener
from mesh.money import Money
from services.payments import charges, storage
from services.payments.domain import Payment
from services.payments.provider import Provider
from services.payments.provider_worker import ProviderWorker
from services.payments.risk import Limits
from services.payments.sandbox import Sandbox
from tests.services.outbox import published_names

LIMITS = Limits(amount_max_hundredths=100_000, payments_per_hour_max=5)
PRICE = Money("EUR", 2_599)


class Shop:
    """A database of the service, and a worker that tests run step by step."""

    def __init__(self, database: Database, provider: Provider, time_max: timedelta = timedelta(minutes=1)) -> None:
        self.database = database
        self._worker = ProviderWorker(database, provider, LIMITS, time_max, WorkListener(database, "unused", 1))

    async def charge(
        self, order: str = "orders/1", method: str = "card_ok", amount: Money = PRICE, customer: str = "users/ada"
    ) -> Payment:
        """Begins a payment."""
        async with self.database.transaction() as tx:
            return await charges.charge(tx, order, customer, method, amount, datetime.now(UTC))

    async def cancel(self, order: str = "orders/1") -> Payment | None:
        """Cancels a payment."""
        async with self.database.transaction() as tx:
            return await charges.cancel(tx, order, datetime.now(UTC))

    async def work(self) -> int:
        """Works until no payment is due, without the pauses between tries; returns the number of steps."""
        steps = 0
        while await self.work_once():
            steps += 1
            assert steps < 50, "the worker does not come to an end"
            await self.end_leases()
        return steps

    async def work_once(self) -> bool:
        """Does one step; returns False if no payment is due."""
        return await self._worker.work_one()

    async def end_leases(self) -> None:
        """Makes every payment due whose provider is to be asked, as time does."""
        async with self.database.transaction() as tx:
            await tx.execute("UPDATE payments SET due_time = now() WHERE due_time IS NOT NULL")

    async def due(self) -> int:
        """Returns the number of payments that are due now."""
        async with self.database.transaction() as tx:
            count: int = await tx.fetchval("SELECT count(*) FROM payments WHERE due_time <= now()")
        return count

    async def payment(self, uid: UUID) -> Payment:
        """Returns a payment as it is."""
        async with self.database.transaction() as tx:
            found = await storage.find(tx, uid)
        assert found is not None
        return found

    async def ledger(self) -> dict[str, int]:
        """Returns the balance of each account."""
        async with self.database.transaction() as tx:
            rows = await tx.fetch("SELECT account, sum(hundredths)::bigint AS sum FROM ledger_entries GROUP BY account")
        return {row["account"]: row["sum"] for row in rows}

    async def events(self) -> list[str]:
        """Returns the names of the events that were published, in their order."""
        return await published_names(self.database)


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """An empty database of the payments service."""
    return await open_database("payments")


@pytest.fixture
def shop(database: Database) -> Shop:
    """A shop that charges by the sandbox."""
    return Shop(database, Sandbox(database, report_after=timedelta()))
