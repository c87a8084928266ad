"""The command for dead letters."""

import asyncio
import base64
import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from mesh.database import Database
from mesh.events import inbox_table
from mesh.events.__main__ import main
from mesh.events.envelope import Envelope


@pytest.fixture
async def dead(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Creates two dead letters and one event that is done, in the database of DATABASE_URL."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    async with database.transaction() as tx:
        for number in (1, 2, 3):
            note, now, request_id = f"notes/{number}", datetime.now(UTC), "case-7" if number == 2 else None
            envelope = Envelope(f"event-{number}", "meshwright.test.v1.Note", "test", note, now, b"", None, request_id)
            await inbox_table.store(tx, [envelope])
            [event] = await inbox_table.take(tx, 1)
            if number < 3:
                await inbox_table.fail(tx, event, "LookupError: first line\nsecond \x1b[31mline", None)
            else:
                await inbox_table.finish(tx, [event])
    return database


async def _run(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


async def _states(database: Database) -> dict[str, str]:
    async with database.transaction() as tx:
        return {row["event_id"]: row["state"] for row in await tx.fetch("SELECT event_id, state FROM mesh.inbox")}


@pytest.mark.usefixtures("dead")
async def test_list_shows_dead_letters_and_their_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """Each dead letter has its id, type, aggregate, tries, request and error, without terminal control codes."""
    assert await _run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "event-1"
    assert lines[1].startswith("    meshwright.test.v1.Note of notes/1, received ")
    assert lines[1].endswith("Z, 1 try")
    assert lines[2] == "    LookupError: first line second  [31mline"
    assert lines[3] == "event-2"
    assert lines[4].endswith("Z, 1 try, caused by request case-7")
    assert lines[-1] == "2 dead letters"


@pytest.mark.usefixtures("dead")
async def test_one_is_shown_with_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    """An operator sees the whole event and the whole error, as JSON, before deciding on a replay."""
    assert await _run("show", "--id", "event-2") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["event"]["id"], shown["event"]["subject"], shown["event"]["requestid"]) == (
        "event-2",
        "notes/2",
        "case-7",
    )
    assert base64.b64decode(shown["event"]["data_base64"]) == b"", "the contracts do not declare notes"
    assert (shown["attempts"], shown["last_error"]) == (1, "LookupError: first line\nsecond \x1b[31mline")
    assert await _run("show", "--id", "event-3") == 1
    assert capsys.readouterr().err == "There is no dead letter event-3.\n"


async def test_one_is_replayed(dead: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Only the named event is due again, with all tries left."""
    assert await _run("replay", "--id", "event-2") == 0
    assert capsys.readouterr().out == "1 dead letter will be handled again\n"
    assert await _states(dead) == {"event-1": "dead", "event-2": "pending", "event-3": "done"}


async def test_all_are_replayed(dead: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """Every dead letter is due again; events that are done stay done."""
    assert await _run("replay", "--all") == 0
    assert capsys.readouterr().out == "2 dead letters will be handled again\n"
    assert await _states(dead) == {"event-1": "pending", "event-2": "pending", "event-3": "done"}


@pytest.mark.parametrize("event_id", ["event-3", "nosuch"])
async def test_other_events_cannot_be_replayed(
    dead: Database, event_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown id, or that of an event that is done, is an error with a message."""
    assert await _run("replay", "--id", event_id) == 1
    assert capsys.readouterr().err == f"There is no dead letter {event_id}.\n"
    assert (await _states(dead))["event-3"] == "done"


async def test_one_that_was_overtaken_is_replayed_only_if_asked_for(
    dead: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replay out of order is refused, with the reason; the list and the letter show it beforehand."""
    async with dead.transaction() as tx:
        later = Envelope("event-4", "meshwright.test.v1.Note", "test", "notes/2", datetime.now(UTC), b"", None)
        await inbox_table.store(tx, [later])
        await inbox_table.finish(tx, await inbox_table.take(tx, 1))
    assert await _run("list") == 0
    assert capsys.readouterr().out.splitlines()[4].endswith(", overtaken by a later event")
    assert await _run("show", "--id", "event-2") == 0
    assert json.loads(capsys.readouterr().out)["overtaken"] is True
    assert await _run("replay", "--id", "event-2") == 1
    assert capsys.readouterr().err.startswith("A later event of notes/2 was handled. ")
    assert await _run("replay", "--all") == 0
    assert capsys.readouterr().out.startswith("1 dead letter will be handled again; 1 dead letter will not, ")
    assert await _run("replay", "--all", "--overtaken") == 0
    assert capsys.readouterr().out == "1 dead letter will be handled again\n"
    assert (await _states(dead))["event-2"] == "pending"


async def test_one_whose_aggregate_is_busy_is_not_replayed(dead: Database, capsys: pytest.CaptureFixture[str]) -> None:
    """The refusal says so, also for one that was overtaken before; it does not ask for an option that was given."""
    for _ in range(2):
        async with dead.transaction() as tx:
            later = Envelope(str(uuid4()), "meshwright.test.v1.Note", "test", "notes/2", datetime.now(UTC), b"", None)
            await inbox_table.store(tx, [later])
            taken = await inbox_table.take(tx, 1)
            assert await _run("replay", "--id", "event-2", "--overtaken") == 1
            assert capsys.readouterr().err == "A later event of notes/2 is being handled. Try again.\n"
            await inbox_table.finish(tx, taken)


async def test_a_database_that_is_away_is_reported_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with a message that names the variable to check."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/nothing")
    assert await _run("list") == 1
    assert (
        capsys.readouterr().err
        == "The database does not answer. Try again. Check that DATABASE_URL is the service's database.\n"
    )
