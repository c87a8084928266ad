"""The sandbox provider: its cards, what repeated calls have for an effect, and its reports."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from mesh.database import Database
from mesh.standard_webhooks import verify
from services.payments.provider import Outcome, ProviderError
from services.payments.sandbox import UNKNOWN_ASKED, Sandbox
from services.payments.sandbox_reports import SandboxReports
from tests.services.notifications.receiver import Receiver
from tests.services.payments.conftest import PRICE

SECRET = b"the provider's secret"


@pytest.fixture
def sandbox(database: Database) -> Sandbox:
    """The sandbox, whose late reports are due at once."""
    return Sandbox(database, report_after=timedelta())


@pytest.mark.parametrize(
    ("card", "outcome"),
    [
        ("card_ok", Outcome.AUTHORIZED),
        ("card_twice", Outcome.AUTHORIZED),
        ("card_declined", Outcome.DECLINED),
        ("card_late", Outcome.PROCESSING),
        ("card_stolen", Outcome.UNKNOWN_METHOD),
    ],
)
async def test_cards_have_the_outcome_of_their_names(sandbox: Sandbox, card: str, outcome: Outcome) -> None:
    """Whenever they are asked."""
    key = uuid4()
    assert [await sandbox.authorize(key, card, PRICE) for _ in range(2)] == [outcome] * 2


@pytest.mark.parametrize(("card", "silent"), [("card_timeout", 1), ("card_unknown", UNKNOWN_ASKED)])
async def test_cards_do_not_answer_at_first(database: Database, card: str, silent: int) -> None:
    """The first calls get no answer, but the charge is made. A repeated call by another process gets the answer."""
    key = uuid4()
    for _ in range(silent):
        with pytest.raises(ProviderError):
            await Sandbox(database).authorize(key, card, PRICE)
    assert await Sandbox(database).capture(key) is Outcome.CAPTURED
    assert await Sandbox(database).authorize(key, card, PRICE) is Outcome.CAPTURED


async def test_a_charge_is_captured_or_voided(sandbox: Sandbox) -> None:
    """Never both: the first of them counts, however often the other is asked for."""
    captured, voided = uuid4(), uuid4()
    for key in (captured, voided):
        await sandbox.authorize(key, "card_ok", PRICE)
    assert [await sandbox.capture(captured), await sandbox.void(captured)] == [Outcome.CAPTURED] * 2
    assert [await sandbox.void(voided), await sandbox.capture(voided)] == [Outcome.VOIDED] * 2


async def test_a_charge_is_voided_before_it_is_made(sandbox: Sandbox) -> None:
    """A call that is still on its way has no effect when it arrives."""
    key = uuid4()
    assert await sandbox.void(key) is Outcome.VOIDED
    assert await sandbox.authorize(key, "card_ok", PRICE) is Outcome.VOIDED


async def test_a_refund_is_made_once_for_each_key(sandbox: Sandbox, database: Database) -> None:
    """However often it is asked for."""
    charge, key = uuid4(), uuid4()
    await sandbox.authorize(charge, "card_ok", PRICE)
    await sandbox.capture(charge)
    for _ in range(3):
        await sandbox.refund(key, charge, PRICE)
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT refunded_hundredths FROM sandbox_charges") == PRICE.hundredths


@pytest.mark.parametrize(("card", "times"), [("card_ok", 0), ("card_late", 1), ("card_twice", 2)])
async def test_reports_are_due_at_the_time_of_the_card(sandbox: Sandbox, card: str, times: int) -> None:
    """When one is taken, the charge is decided. No call later makes another one due."""
    key = uuid4()
    await sandbox.authorize(key, card, PRICE)
    taken = [await sandbox.take_report() for _ in range(times + 1)]
    assert taken == [*([key] * times), None]
    assert await sandbox.authorize(key, card, PRICE) is Outcome.AUTHORIZED
    assert await sandbox.take_report() is None


async def test_a_report_is_due_later(database: Database) -> None:
    """The charge is undecided until then."""
    sandbox = Sandbox(database, report_after=timedelta(hours=1))
    await sandbox.authorize(uuid4(), "card_late", PRICE)
    assert await sandbox.take_report() is None


async def test_a_voided_charge_stays_so_when_it_is_reported(sandbox: Sandbox) -> None:
    """The report is sent, but does not make the charge capturable."""
    key = uuid4()
    await sandbox.authorize(key, "card_late", PRICE)
    await sandbox.void(key)
    assert await sandbox.take_report() == key
    assert await sandbox.authorize(key, "card_late", PRICE) is Outcome.VOIDED


async def test_reports_are_signed(sandbox: Sandbox) -> None:
    """Those about one charge have one id, by which the second is recognised as a copy."""
    key = uuid4()
    await sandbox.authorize(key, "card_twice", PRICE)
    async with Receiver().listening() as receiver, SandboxReports(sandbox, receiver.url(), SECRET):
        await receiver.until_received(2)
    ids = {verify(each.headers, datetime.now(UTC), each.body, [SECRET]) for each in receiver.received}
    assert len(ids) == 1
    assert {UUID(json.loads(each.body)["charge"]) for each in receiver.received} == {key}


async def test_a_report_that_is_not_received_stops_no_others(sandbox: Sandbox) -> None:
    """The service asks by itself."""
    async with Receiver(answers=[b""]).listening() as receiver:
        for _ in range(2):
            await sandbox.authorize(uuid4(), "card_late", PRICE)
        async with SandboxReports(sandbox, receiver.url(), SECRET):
            await receiver.until_received(2)
