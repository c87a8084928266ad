"""The worker that asks the provider, with the sandbox and a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from mesh.database import Database, WorkListener
from mesh.errors import FailedPrecondition
from mesh.money import Money
from services.payments import charges, ledger_storage, provider_worker, storage
from services.payments.domain import Account, Failure, State
from services.payments.provider import Outcome, ProviderError
from services.payments.provider_worker import ANSWERS, ProviderWorker
from services.payments.sandbox import Sandbox
from tests.services.payments.conftest import LIMITS, PRICE, Shop

CAPTURED = ["PaymentAuthorized", "PaymentCaptured"]


@pytest.mark.parametrize("card", ["card_ok", "card_timeout", "card_unknown", "card_twice"])
async def test_a_charge_is_captured_once(shop: Shop, card: str) -> None:
    """The customer pays once and the ledger has one capture, even if the provider does not respond to some calls."""
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
    """A cancellation refunds the rest of the payment once, however often the order is cancelled."""
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
        await charges.refund(tx, payment, Money("EUR", hundredths), "Broken", datetime.now(UTC))


class FaultySandbox(Sandbox):
    """A provider that carries out what it is asked, but whose first answer to each of `operations` is this error."""

    def __init__(self, database: Database, error: BaseException, *operations: str) -> None:
        super().__init__(database)
        self.operations = set(operations)
        self.asked: list[str] = []
        self._error = error

    def _answer(self, operation: str) -> None:
        self.asked.append(operation)
        if operation in self.operations:
            self.operations.remove(operation)
            raise self._error

    async def authorize(self, key: UUID, payment_method: str, amount: Money) -> Outcome:
        outcome = await super().authorize(key, payment_method, amount)
        self._answer("authorize")
        return outcome

    async def capture(self, key: UUID) -> Outcome:
        outcome = await super().capture(key)
        self._answer("capture")
        return outcome

    async def void(self, key: UUID) -> Outcome:
        outcome = await super().void(key)
        self._answer("void")
        return outcome

    async def refund(self, key: UUID, charge: UUID, amount: Money) -> None:
        await super().refund(key, charge, amount)
        self._answer("refund")


LOST = ProviderError("the answer is lost")


class Killed(BaseException):
    """The end of a process between the provider's answer and the transaction: nothing else happens in it."""


async def test_lost_answers_have_one_effect(database: Database) -> None:
    """The provider has captured and refunded exactly the amounts in the books."""
    shop = Shop(database, FaultySandbox(database, LOST, "authorize", "capture", "refund"))
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
    shop = Shop(database, FaultySandbox(database, LOST, "capture"))
    payment = await shop.charge()
    await shop.work_once()  # authorises, and captures
    await shop.cancel()
    await shop.work()
    paid_back = await shop.payment(payment.uid)
    assert (paid_back.state, paid_back.captured, paid_back.refunded) == (State.CAPTURED, PRICE, PRICE)
    assert (await shop.ledger())["provider"] == 0


@pytest.mark.parametrize("operation", ["authorize", "capture", "void", "refund"])
async def test_another_worker_continues_after_a_kill(database: Database, operation: str) -> None:
    """After the lease of a killed worker another one continues, and the provider has done each step once."""
    provider = FaultySandbox(database, Killed(), operation)
    shop = Shop(database, provider)
    payment = await shop.charge()
    if operation != "void":
        await work_through(shop)
    await shop.cancel()
    await work_through(shop)
    assert provider.operations == set(), "nobody was killed"
    async with database.transaction() as tx:
        row = await tx.fetchrow("SELECT state, refunded_hundredths FROM sandbox_charges WHERE key = $1", payment.uid)
    assert row is not None
    if operation == "void":
        assert (row["state"], await shop.ledger(), await shop.events()) == ("voided", {}, [])
    else:
        assert (row["state"], row["refunded_hundredths"]) == ("captured", 2599)
        assert await shop.ledger() == {"provider": 0, "sales": -2599, "refunds": 2599}
        assert await shop.events() == [*CAPTURED, "PaymentRefunded"]


async def work_through(shop: Shop) -> None:
    """Works until no payment is due, in a new process after each kill. Its payment is left alone until then."""
    try:
        await shop.work()
    except Killed:
        assert await shop.due() == 0
        assert not await shop.work_once()
        await shop.end_leases()
        await work_through(shop)


async def test_replicas_share_the_work(database: Database) -> None:
    """Each step of each payment is done by one of them."""
    provider = FaultySandbox(database, LOST)
    replicas = [Shop(database, provider) for _ in range(4)]
    for number in range(8):
        await replicas[0].charge(order=f"orders/{number}", customer=f"users/{number}")

    async def run(replica: Shop) -> None:
        while await replica.work_once():
            pass

    await asyncio.gather(*map(run, replicas))
    await run(replicas[0])
    assert sorted(provider.asked) == ["authorize"] * 8 + ["capture"] * 8
    assert await replicas[0].ledger() == {"provider": 8 * 2599, "sales": -8 * 2599}


async def test_a_running_worker_is_woken(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """By each transaction that makes a payment due, since it does not look by itself here; it ends with its context."""
    monkeypatch.setattr(provider_worker, "POLL_PAUSE_S", 3600.0)
    listener = WorkListener(database, storage.CHANNEL, provider_worker.WORKERS)
    worker = ProviderWorker(database, Sandbox(database), LIMITS, timedelta(minutes=1), listener)
    shop = Shop(database, Sandbox(database))
    async with listener, worker, asyncio.timeout(30):
        payment = await shop.charge()
        while (await shop.payment(payment.uid)).state is not State.CAPTURED:
            await asyncio.sleep(0.01)
        await shop.cancel()
        while (await shop.payment(payment.uid)).refunded != PRICE:
            await asyncio.sleep(0.01)


class SilentSandbox(Sandbox):
    """A provider that never answers when it is to void a charge."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.calls = 0

    async def void(self, key: UUID) -> Outcome:
        """Waits until the caller gives up."""
        self.calls += 1
        await asyncio.Event().wait()
        raise AssertionError


async def test_calls_without_an_answer_hold_up_no_other_payment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them than there are workers are repeated for ever, and a new order is charged nevertheless."""
    monkeypatch.setattr(provider_worker, "CALL_TIMEOUT_S", 3600.0)
    provider = SilentSandbox(database)
    shop = Shop(database, provider)
    for number in range(2 * provider_worker.WORKERS):
        await shop.charge(f"orders/silent-{number}")
        await shop.cancel(f"orders/silent-{number}")
    async with database.transaction() as tx:
        await tx.execute("UPDATE payments SET attempts = 1")  # as the first calls have left them
    listener = WorkListener(database, storage.CHANNEL, provider_worker.WORKERS)
    async with (
        listener,
        ProviderWorker(database, provider, LIMITS, timedelta(minutes=1), listener),
        asyncio.timeout(30),
    ):
        while provider.calls < provider_worker.WORKERS_OF_REPEATS:
            await asyncio.sleep(0.01)
        payment = await shop.charge(customer="users/bob")
        while (await shop.payment(payment.uid)).state is not State.CAPTURED:
            await asyncio.sleep(0.01)
    assert provider.calls == provider_worker.WORKERS_OF_REPEATS


async def test_a_report_makes_the_next_call_a_first_one(shop: Shop) -> None:
    """The provider has something to say about the charge, so its payment is not left to the workers of repeats."""
    payment = await shop.charge(method="card_late")
    assert await shop.work_once()
    await shop.end_leases()
    async with shop.database.transaction() as tx:
        assert await storage.take_due(tx, provider_worker.LEASE, repeats=False) is None
        assert await storage.make_due(tx, payment.uid)
        assert await storage.take_due(tx, provider_worker.LEASE, repeats=False) is not None


async def test_a_capture_without_an_answer_is_paid_back_after_the_limit(database: Database) -> None:
    """The failure of the payment is published before the capture, so that the order stays cancelled."""
    shop = Shop(database, FaultySandbox(database, LOST, "capture"))
    payment = await shop.charge()
    await shop.work_once()  # authorises, and captures
    shop = Shop(database, Sandbox(database), time_max=timedelta())
    await shop.end_leases()
    await shop.work_once()
    assert (await shop.payment(payment.uid)).failure is Failure.TIMED_OUT
    await shop.cancel()  # as the order does when it hears of that
    await shop.work()
    paid_back = await shop.payment(payment.uid)
    assert (paid_back.state, paid_back.refunded) == (State.CAPTURED, PRICE)
    assert await shop.ledger() == {"provider": 0, "sales": -2599, "refunds": 2599}
    assert await shop.events() == ["PaymentAuthorized", "PaymentFailed", "PaymentCaptured", "PaymentRefunded"]


async def test_a_payment_fails_in_time_without_its_provider(database: Database) -> None:
    """The order does not wait for the void, which is asked for until it is answered."""
    provider = FaultySandbox(database, LOST, "void")
    shop = Shop(database, provider, time_max=timedelta())
    payment = await shop.charge()
    await shop.work_once()
    assert (await shop.payment(payment.uid)).state is State.FAILED
    assert await shop.events() == ["PaymentFailed"]
    await shop.work()
    assert provider.asked == ["void", "void"]
    assert await shop.events() == ["PaymentFailed"]


class EndingSandbox(Sandbox):
    """A provider that ends an authorisation before it is captured."""

    async def capture(self, key: UUID) -> Outcome:
        assert await self.void(key) is Outcome.VOIDED
        return await super().capture(key)


async def test_an_authorisation_that_the_provider_ends_fails(database: Database) -> None:
    """Nobody of the shop has voided it; the order hears of it."""
    shop = Shop(database, EndingSandbox(database))
    payment = await shop.charge()
    await shop.work()
    failed = await shop.payment(payment.uid)
    assert (failed.state, failed.failure) == (State.FAILED, Failure.DECLINED)
    assert await shop.events() == ["PaymentAuthorized", "PaymentFailed"]


class InterruptedSandbox(Sandbox):
    """A provider that has not decided yet, and during whose call the shop gets to know that it has."""

    async def authorize(self, key: UUID, payment_method: str, amount: Money) -> Outcome:
        outcome = await super().authorize(key, payment_method, amount)
        async with self._database.transaction() as tx:
            assert await storage.make_due(tx, key)
        return outcome


async def test_a_report_during_a_call_is_not_postponed(database: Database) -> None:
    """The answer to the call is older than the report."""
    shop = Shop(database, InterruptedSandbox(database))
    await shop.charge(method="card_late")
    await shop.work_once()
    assert await shop.due() == 1


async def test_many_refunds_are_made_one_by_one(database: Database) -> None:
    """A call for each, so that their number does not matter; the first is the first that was requested."""
    provider = FaultySandbox(database, LOST)
    shop = Shop(database, provider)
    payment = await shop.charge()
    await shop.work()
    for _ in range(3):
        await refund(shop, payment.uid, 100)
    await shop.work_once()
    assert (await shop.payment(payment.uid)).refunded == Money("EUR", 100)
    await shop.work()
    assert provider.asked.count("refund") == 3
    assert (await shop.payment(payment.uid)).refunded == Money("EUR", 300)


async def test_another_currency_is_flagged(shop: Shop) -> None:
    """A payment is flagged if its customer has always paid in another currency."""
    await shop.charge()
    await shop.work()
    dollars = await shop.charge(order="orders/2", amount=Money("USD", 100))
    await shop.work()
    (finding,) = (await shop.payment(dollars.uid)).findings
    assert finding.rule == "MISMATCH"
    assert "USD" in finding.explanation
    assert "EUR" in finding.explanation


async def test_erased_customers_share_no_history(shop: Shop) -> None:
    """They are not one customer who pays often, and in any currency."""
    async with shop.database.transaction() as tx:
        for number in range(7):
            await storage.anonymise(tx, f"users/{number}")
    for number in range(7):
        amount = Money("USD" if number else "EUR", 100)
        await shop.charge(order=f"orders/{number}", customer=f"users/{number}", amount=amount)
        await shop.work()
    async with shop.database.transaction() as tx:
        assert await tx.fetch("SELECT rule FROM risk_findings") == []
        assert await tx.fetch("SELECT customer FROM payments WHERE customer <> ''") == []


@pytest.mark.parametrize(
    "entries",
    [
        {Account.PROVIDER: Money("EUR", 100)},
        {Account.PROVIDER: Money("EUR", 100), Account.SALES: Money("EUR", -99)},
        {Account.PROVIDER: Money("EUR", 100), Account.SALES: Money("USD", -100)},
    ],
)
async def test_an_unbalanced_posting_is_refused(shop: Shop, entries: dict[Account, Money]) -> None:
    """The database rejects a posting that does not balance, or mixes currencies."""
    payment = await shop.charge()
    with pytest.raises(asyncpg.RaiseError):
        async with shop.database.transaction() as tx:
            await ledger_storage.post(tx, payment, entries, datetime.now(UTC))
    assert await shop.ledger() == {}


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
        await charges.review(tx, locked, "users/staff", approve=approve, now=datetime.now(UTC))
    await shop.work()
    decided = await shop.payment(payment.uid)
    assert decided.state is (State.CAPTURED if approve else State.FAILED)
    assert decided.reviewer == "users/staff"
    assert await shop.events() == ["PaymentHeld", "PaymentCaptured" if approve else "PaymentFailed"]


async def test_frequent_payments_are_flagged(shop: Shop) -> None:
    """The sixth within an hour, of one customer and not of another."""
    for number in range(6):
        payment = await shop.charge(order=f"orders/{number}")
    other = await shop.charge(order="orders/7", customer="users/bob")
    await shop.work()
    assert (await shop.payment(payment.uid)).findings[0].rule == "VELOCITY"
    assert (await shop.payment(other.uid)).state is State.CAPTURED


@pytest.mark.parametrize(
    "change",
    ["UPDATE ledger_entries SET hundredths = 1", "DELETE FROM ledger_entries", "TRUNCATE ledger_entries"],
)
async def test_the_ledger_is_never_changed(shop: Shop, change: str) -> None:
    """Not even by the service's own role."""
    await shop.charge()
    await shop.work()
    with pytest.raises(asyncpg.RaiseError):
        async with shop.database.transaction() as tx:
            await tx.execute(change)
    assert await shop.ledger() == {"provider": 2599, "sales": -2599}


async def test_the_answers_of_the_provider_are_counted(shop: Shop) -> None:
    """Answers are counted by outcome; a call without an answer is an outcome too."""

    def counted() -> dict[str, float]:
        [metric] = ANSWERS.collect()
        return {each.labels["outcome"]: each.value for each in metric.samples if each.name.endswith("_total")}

    before = counted()
    for number, card in enumerate(["card_ok", "card_declined", "card_timeout"]):
        await shop.charge(f"orders/{number}", card)
    await shop.work()
    added = {outcome: count - before.get(outcome, 0) for outcome, count in counted().items()}
    assert {name: count for name, count in added.items() if count} == {
        "no_answer": 1,
        "authorized": 2,
        "captured": 2,
        "declined": 1,
    }
