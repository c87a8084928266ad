"""The worker that asks the provider, with the sandbox and a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from mesh.database import Database
from mesh.errors import FailedPrecondition
from mesh.money import Money
from services.payments import charges, storage
from services.payments.domain import Failure, State
from services.payments.provider import Outcome, ProviderError
from services.payments.sandbox import Sandbox
from tests.services.payments.conftest import PRICE, Shop

CAPTURED = ["PaymentAuthorized", "PaymentCaptured"]


@pytest.mark.parametrize("card", ["card_ok", "card_timeout", "card_unknown", "card_twice"])
async def test_a_charge_is_captured_once(shop: Shop, card: str) -> None:
    """Whatever the provider leaves unanswered, the customer pays once, and the books say so."""
    payment = await shop.charge(method=card)
    await shop.work()
    paid = await shop.payment(payment.uid)
    assert (paid.state, paid.captured) == (State.CAPTURED, PRICE)
    assert await shop.ledger() == {"provider": 2599, "sales": -2599}
    assert await shop.events() == CAPTURED


@pytest.mark.parametrize(
    ("card", "failure"), [("card_declined", Failure.DECLINED), ("card_stolen", Failure.UNKNOWN_METHOD)]
)
async def test_a_declined_charge_fails(shop: Shop, card: str, failure: Failure) -> None:
    """Nothing is booked."""
    payment = await shop.charge(method=card)
    await shop.work()
    failed = await shop.payment(payment.uid)
    assert (failed.state, failed.failure) == (State.FAILED, failure)
    assert (await shop.ledger(), await shop.events()) == ({}, ["PaymentFailed"])


async def test_a_late_answer_is_waited_for(database: Database) -> None:
    """The payment stays pending until the provider has decided."""
    sandbox = Sandbox(database, report_after=timedelta())
    shop = Shop(database, sandbox)
    payment = await shop.charge(method="card_late")
    assert await shop.work_once()
    assert (await shop.payment(payment.uid)).state is State.PENDING
    assert await sandbox.take_report() == payment.uid
    async with database.transaction() as tx:
        assert await storage.make_due(tx, payment.uid)
    await shop.work()
    assert (await shop.payment(payment.uid)).state is State.CAPTURED


async def test_an_order_is_charged_once(shop: Shop) -> None:
    """However often it is asked for, also at the same time."""
    payments = await asyncio.gather(*(shop.charge() for _ in range(8)))
    assert len({payment.uid for payment in payments}) == 1
    await shop.work()
    assert await shop.ledger() == {"provider": 2599, "sales": -2599}


async def test_a_cancelled_order_is_never_charged(shop: Shop) -> None:
    """Not even if the charge arrives after the cancellation."""
    assert await shop.cancel() is None
    with pytest.raises(FailedPrecondition):
        await shop.charge()
    assert await shop.work() == 0


async def test_a_charge_that_is_not_captured_is_voided(shop: Shop) -> None:
    """The order was cancelled before the provider was asked, so that nothing is captured."""
    payment = await shop.charge()
    await shop.cancel()
    await shop.work()
    assert (await shop.payment(payment.uid)).state is State.CANCELLED
    assert (await shop.ledger(), await shop.events()) == ({}, [])


async def test_a_captured_charge_is_paid_back(shop: Shop) -> None:
    """What is left of it, after an earlier refund, and once however often the order is cancelled."""
    payment = await shop.charge()
    await shop.work()
    await refund(shop, payment.uid, 600)
    await asyncio.gather(*(shop.cancel() for _ in range(4)))
    await shop.work()
    paid_back = await shop.payment(payment.uid)
    assert (paid_back.captured, paid_back.refunded) == (PRICE, PRICE)
    assert await shop.ledger() == {"provider": 0, "sales": -2599, "refunds": 2599}
    assert await shop.events() == [*CAPTURED, "PaymentRefunded", "PaymentRefunded"]


async def test_refunds_never_exceed_the_payment(shop: Shop) -> None:
    """Of ten concurrent refunds of 10.00 from 25.99, two are accepted."""
    payment = await shop.charge()
    await shop.work()
    results = await asyncio.gather(*(refund(shop, payment.uid, 1000) for _ in range(10)), return_exceptions=True)
    assert sum(isinstance(result, FailedPrecondition) for result in results) == 8
    await shop.work()
    assert (await shop.payment(payment.uid)).refunded == Money("EUR", 2000)


async def refund(shop: Shop, uid: UUID, hundredths: int) -> None:
    """Refunds a part of a payment, as the handler does."""
    async with shop.database.transaction() as tx:
        payment = await storage.find(tx, uid, lock=True)
        assert payment is not None
        promised = sum(each.amount.hundredths for each in await storage.open_refunds(tx, payment))
        amount = payment.check_refund(Money("EUR", hundredths), promised)
        await storage.insert_refund(tx, storage.Refund(uuid4(), uid, amount, "Broken"), datetime.now(UTC))
        await storage.update(tx, payment)


class DyingSandbox(Sandbox):
    """A provider whose answers are lost, each once, after they took effect."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._lost: set[tuple[str, UUID]] = set()

    def _lose(self, operation: str, key: UUID) -> None:
        if (operation, key) not in self._lost:
            self._lost.add((operation, key))
            raise ProviderError("the answer is lost")

    async def authorize(self, key: UUID, payment_method: str, amount: Money) -> Outcome:
        outcome = await super().authorize(key, payment_method, amount)
        self._lose("authorize", key)
        return outcome

    async def capture(self, key: UUID) -> Outcome:
        outcome = await super().capture(key)
        self._lose("capture", key)
        return outcome

    async def void(self, key: UUID) -> Outcome:
        outcome = await super().void(key)
        self._lose("void", key)
        return outcome

    async def refund(self, key: UUID, charge: UUID, amount: Money) -> None:
        await super().refund(key, charge, amount)
        self._lose("refund", key)


async def test_lost_answers_have_one_effect(database: Database) -> None:
    """The provider has captured and paid back exactly what the books say."""
    shop = Shop(database, DyingSandbox(database))
    payment = await shop.charge()
    await shop.work()
    await shop.cancel()
    await shop.work()
    async with database.transaction() as tx:
        charge = await tx.fetchrow("SELECT state, refunded_hundredths FROM sandbox_charges WHERE key = $1", payment.uid)
    assert charge is not None
    assert (charge["state"], charge["refunded_hundredths"]) == ("captured", 2599)
    assert await shop.ledger() == {"provider": 0, "sales": -2599, "refunds": 2599}
    assert await shop.events() == [*CAPTURED, "PaymentRefunded"]


async def test_a_capture_that_is_found_when_voiding_is_paid_back(database: Database) -> None:
    """The answer to the capture was lost, and the order was cancelled meanwhile."""
    shop = Shop(database, DyingSandbox(database))
    payment = await shop.charge()
    for _ in range(3):  # two to authorise, one to capture
        await shop.work_once()
        async with database.transaction() as tx:
            await tx.execute("UPDATE payments SET due_time = now()")
    await shop.cancel()
    await shop.work()
    paid_back = await shop.payment(payment.uid)
    assert (paid_back.state, paid_back.captured, paid_back.refunded) == (State.CAPTURED, PRICE, PRICE)
    assert (await shop.ledger())["provider"] == 0


async def test_a_payment_that_takes_too_long_fails(database: Database) -> None:
    """It is voided first, so that it can't be captured later."""
    sandbox = Sandbox(database)
    shop = Shop(database, sandbox, time_max=timedelta())
    payment = await shop.charge(method="card_late")
    await shop.work()
    failed = await shop.payment(payment.uid)
    assert (failed.state, failed.failure) == (State.FAILED, Failure.TIMED_OUT)
    assert await sandbox.capture(payment.uid) is Outcome.VOIDED
    assert await shop.events() == ["PaymentFailed"]


@pytest.mark.parametrize("approve", [True, False])
async def test_a_flagged_payment_waits_for_a_decision(shop: Shop, approve: bool) -> None:
    """It is captured or voided afterwards."""
    payment = await shop.charge(amount=Money("EUR", 100_001))
    await shop.work()
    held = await shop.payment(payment.uid)
    assert held.state is State.IN_REVIEW
    assert [finding.rule for finding in held.findings] == ["AMOUNT"]
    async with shop.database.transaction() as tx:
        locked = await storage.find(tx, payment.uid, lock=True)
        assert locked is not None
        await charges.review(tx, locked, approve=approve, now=datetime.now(UTC))
    await shop.work()
    decided = await shop.payment(payment.uid)
    assert decided.state is (State.CAPTURED if approve else State.FAILED)
    assert await shop.events() == ["PaymentHeld", "PaymentCaptured" if approve else "PaymentFailed"]


async def test_frequent_payments_are_flagged(shop: Shop) -> None:
    """The sixth within an hour, of one customer and not of another."""
    for number in range(6):
        payment = await shop.charge(order=f"orders/{number}")
    other = await shop.charge(order="orders/7", customer="users/bob")
    await shop.work()
    assert (await shop.payment(payment.uid)).findings[0].rule == "VELOCITY"
    assert (await shop.payment(other.uid)).state is State.CAPTURED


@pytest.mark.parametrize("change", ["UPDATE ledger_entries SET hundredths = 1", "DELETE FROM ledger_entries"])
async def test_the_ledger_is_never_changed(shop: Shop, change: str) -> None:
    """Not even by the service's own role."""
    await shop.charge()
    await shop.work()
    with pytest.raises(asyncpg.RaiseError):
        async with shop.database.transaction() as tx:
            await tx.execute(change)
    assert await shop.ledger() == {"provider": 2599, "sales": -2599}
