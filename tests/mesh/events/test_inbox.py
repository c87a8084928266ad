"""The inbox, from the broker to the handlers."""

import asyncio
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from asyncpg import LockNotAvailableError
from prometheus_client import REGISTRY
from protobuf import Message

from mesh.background import stop
from mesh.database import Connection, Database
from mesh.errors import Unavailable
from mesh.events import Broker, Event, Inbox, Relay, inbox_table, publish
from mesh.events.envelope import Envelope
from mesh.events.inbox import Handler
from mesh.events.retries import Retries
from mesh.telemetry import tracing
from tests.mesh.events.brokers import BrokerServer
from tests.mesh.messages import Note, Other, Sale

PublishNotes = Callable[..., Awaitable[None]]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

ROOT = Path(__file__).parents[3]
TYPE = "meshwright.test.v1.Note"
HASTY = Retries(attempts_max=3, pause_first_s=0.01, pause_max_s=0.02)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has workers look often for events that are due to be tried again."""
    monkeypatch.setattr("mesh.events.inbox.POLL_PAUSE_S", 0.2)


async def note(tx: Connection, event: Event[Any]) -> None:
    """Handles a note by inserting a row."""
    await tx.execute("INSERT INTO notes (aggregate, text) VALUES ($1, $2)", event.aggregate, event.data.text)


def inbox(
    database: Database, broker: Broker, handlers: Mapping[type[Message], Handler] | None = None, **options: Any
) -> Inbox:
    """Returns an inbox that handles notes by default."""
    return Inbox(
        database, broker, **{"service": "test", "handlers": handlers or {Note: note}, "retries": HASTY, **options}
    )


async def notes(database: Database) -> list[tuple[str, str]]:
    """Returns the notes that were handled, in that order."""
    async with database.transaction() as tx:
        return [
            (row["aggregate"], row["text"]) for row in await tx.fetch("SELECT aggregate, text FROM notes ORDER BY n")
        ]


async def states(database: Database) -> list[tuple[str, int]]:
    """Returns the state and the tries of each event, in the order of arrival."""
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT state, attempts FROM mesh.inbox ORDER BY sequence")
    return [(row["state"], row["attempts"]) for row in rows]


@pytest.fixture
async def relay(database: Database, broker: Broker) -> AsyncIterator[Relay]:
    """Starts the relay of the service, which publishes events to itself."""
    async with Relay(database, broker) as relay:
        yield relay


@pytest.fixture
def noted(database: Database, eventually: Eventually) -> Callable[[int], Awaitable[list[tuple[str, str]]]]:
    """Waits until this number of notes were handled."""

    async def noted(count: int) -> list[tuple[str, str]]:
        async def enough() -> bool:
            return len(await notes(database)) >= count

        await eventually(enough)
        return await notes(database)

    return noted


@pytest.fixture
def settled(database: Database, eventually: Eventually) -> Callable[[int], Awaitable[list[tuple[str, int]]]]:
    """Waits until this number of events are done or dead."""

    async def settled(count: int) -> list[tuple[str, int]]:
        async def enough() -> bool:
            return len([state for state, _ in await states(database) if state != "pending"]) >= count

        await eventually(enough)
        return await states(database)

    return settled


Settled = Callable[[int], Awaitable[list[tuple[str, int]]]]
Noted = Callable[[int], Awaitable[list[tuple[str, str]]]]


@pytest.mark.usefixtures("relay")
async def test_an_event_takes_effect_in_order(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted
) -> None:
    """Events are handled in the order of their publishing within an aggregate, and marked as done."""
    await publish_notes("notes/1", "a", "b", "c")
    async with inbox(database, broker):
        assert await noted(3) == [("notes/1", "a"), ("notes/1", "b"), ("notes/1", "c")]
    assert await states(database) == [("done", 1)] * 3


async def test_an_event_that_comes_twice_takes_effect_once(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted, server: BrokerServer
) -> None:
    """The inbox recognises an event that the broker repeats after its own window for duplicates."""
    await publish_notes("notes/1", "a")
    async with database.transaction() as tx:
        [row] = await tx.fetch("SELECT * FROM mesh.outbox")
    async with inbox(database, broker):
        async with Relay(database, broker):
            await noted(1)
            async with database.transaction() as tx:
                await tx.execute("UPDATE mesh.outbox SET published_at = now()")
        attributes = {"id": str(row["event_id"]), "source": "test", "type": TYPE, "subject": "notes/1"}
        await server.publish(TYPE, row["payload"], attributes)
        await server.publish(TYPE, Note(text="b").to_binary(), attributes | {"id": "another"})
        assert await noted(2) == [("notes/1", "a"), ("notes/1", "b")]


@pytest.mark.parametrize("events_max", [1, 3])
async def test_the_events_of_a_transaction_are_limited(
    database: Database, broker: Broker, noted: Noted, monkeypatch: pytest.MonkeyPatch, events_max: int
) -> None:
    """No transaction has more events than the limit."""
    monkeypatch.setattr("mesh.events.inbox.BATCH_EVENTS_MAX", events_max)
    handled = Counter[str]()

    async def count(tx: Connection, event: Event[Any]) -> None:
        handled[await tx.fetchval("SELECT pg_current_xact_id()::text")] += 1
        await note(tx, event)

    payload, now = Note(text="a").to_binary(), datetime.now(UTC)
    events = [Envelope(str(number), TYPE, "test", f"notes/{number}", now, payload, None) for number in range(6)]
    async with database.transaction() as tx:
        await inbox_table.store(tx, events)
    async with inbox(database, broker, {Note: count}):
        await noted(6)
    assert handled.total() == 6
    assert max(handled.values()) <= events_max


@pytest.mark.parametrize("batch_s", [0.0, 5.0])
@pytest.mark.usefixtures("short_pauses")
async def test_a_separate_event_has_a_transaction_to_itself(
    database: Database,
    broker: Broker,
    server: BrokerServer,
    noted: Noted,
    monkeypatch: pytest.MonkeyPatch,
    batch_s: float,
) -> None:
    """All others are handled while its handler waits, also if it comes first and an earlier version has stored it."""
    monkeypatch.setattr("mesh.events.inbox.BATCH_S", batch_s)
    other, now = Other.desc().type_name, datetime.now(UTC)
    await server.provision({"test": [TYPE, other]})
    handled = Counter[str]()

    async def slow(tx: Connection, event: Event[Any]) -> None:
        assert len(await noted(4)) == 4
        handled[await tx.fetchval("SELECT pg_current_xact_id()::text")] += 1
        await note(tx, event)

    async def quick(tx: Connection, event: Event[Any]) -> None:
        handled[await tx.fetchval("SELECT pg_current_xact_id()::text")] += 1
        await note(tx, event)

    types = (TYPE, TYPE, other, TYPE, TYPE)
    payload = Note(text="a").to_binary()
    async with database.transaction() as tx:
        events = [Envelope(f"{n}", type_, "test", f"notes/{n}", now, payload, None) for n, type_ in enumerate(types)]
        await inbox_table.store(tx, events)
    async with inbox(database, broker, {Note: quick, Other: slow}, separate={Other}):
        assert (await noted(5))[-1] == ("notes/2", "a")
    assert list(handled.values())[-1] == 1, "the transaction of the separate event"
    assert await states(database) == [("done", 1)] * 5


@pytest.mark.usefixtures("relay")
async def test_a_separate_event_is_stored_for_its_workers(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted
) -> None:
    """The workers of separate events find it without reading past others."""
    async with inbox(database, broker, separate={Note}):
        await publish_notes("notes/1", "a")
        await noted(1)
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT bool_and(separate) FROM mesh.inbox")


async def test_separate_events_can_be_given_to_a_version_without_workers_for_them(
    database: Database, broker: Broker, noted: Noted
) -> None:
    """After a rollback, by the statement in docs/operations.md."""
    [statement] = re.findall(r"UPDATE mesh\.inbox SET separate[^\"]+", (ROOT / "docs" / "operations.md").read_text())
    payload = Note(text="a").to_binary()
    async with database.transaction() as tx:
        await inbox_table.store(tx, [Envelope("1", TYPE, "test", "notes/1", datetime.now(UTC), payload, None)], {TYPE})
        assert not await inbox_table.take(tx, 1)
        await tx.execute(statement)
    async with inbox(database, broker):
        assert await noted(1) == [("notes/1", "a")]


@pytest.mark.usefixtures("short_pauses")
async def test_separate_events_hold_up_no_others(
    database: Database, broker: Broker, server: BrokerServer, noted: Noted
) -> None:
    """However many of them wait, as while a mail server does not answer. The order within an aggregate holds."""
    other, now, answered = Other.desc().type_name, datetime.now(UTC), asyncio.Event()
    await server.provision({"test": [TYPE, other]})

    async def hanging(tx: Connection, event: Event[Any]) -> None:
        await answered.wait()
        await note(tx, event)

    types = [*(other for _ in range(5)), TYPE, TYPE, other, TYPE]
    aggregates = [*(f"notes/{number}" for number in range(5)), "notes/0", "notes/5", "notes/5", "notes/5"]
    async with database.transaction() as tx:
        events = [
            Envelope(str(number), type_, "test", aggregate, now, Note(text=str(number)).to_binary(), None)
            for number, (type_, aggregate) in enumerate(zip(types, aggregates, strict=True))
        ]
        await inbox_table.store(tx, events, {other})
    async with inbox(database, broker, {Note: note, Other: hanging}, separate={Other}):
        assert await noted(1) == [("notes/5", "6")]
        answered.set()
        handled = await noted(len(events))
    assert [text for aggregate, text in handled if aggregate == "notes/0"] == ["0", "5"]
    assert [text for aggregate, text in handled if aggregate == "notes/5"] == ["6", "7", "8"]
    assert await states(database) == [("done", 1)] * len(events)


@pytest.mark.usefixtures("relay")
async def test_a_lock_that_others_keep_is_no_failed_try(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted
) -> None:
    """The lock that all handlers need is taken once in each transaction, and events wait until it can be."""
    tries = 0

    async def lock(_: Connection) -> None:
        nonlocal tries
        tries += 1
        if tries <= HASTY.attempts_max:
            raise LockNotAvailableError("another transaction keeps it")

    await publish_notes("notes/1", "a", "b")
    async with inbox(database, broker, lock=lock):
        assert await noted(2) == [("notes/1", "a"), ("notes/1", "b")]
    assert await states(database) == [("done", 1)] * 2


@pytest.mark.usefixtures("relay", "short_pauses")
async def test_a_failing_event_holds_back_its_aggregate_only(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted
) -> None:
    """While an event is retried, later ones of its aggregate wait and others go on; its writes are undone each time."""
    others = asyncio.Event()
    tries = 0

    async def unlucky(tx: Connection, event: Event[Any]) -> None:
        nonlocal tries
        await note(tx, event)
        if event.aggregate == "notes/2":
            others.set()
        elif event.data.text == "bad":
            tries += 1
            if tries < 3 or not others.is_set():
                raise LookupError("not yet")

    await publish_notes("notes/1", "bad", "after")
    await publish_notes("notes/2", "other")
    async with inbox(database, broker, {Note: unlucky}, retries=Retries(1000, 0.01, 0.02)):
        assert await noted(3) == [("notes/2", "other"), ("notes/1", "bad"), ("notes/1", "after")]
    assert tries >= 3


@pytest.mark.usefixtures("relay", "short_pauses")
async def test_a_poison_event_is_set_aside_and_can_be_replayed(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted, settled: Settled
) -> None:
    """After its last try an event blocks no others; its error is stored, and a replay handles it."""
    cured = False

    async def poisoned(tx: Connection, event: Event[Any]) -> None:
        if event.data.text == "poison" and not cured:
            raise LookupError("no antidote")
        await note(tx, event)

    await publish_notes("notes/1", "poison", "after")
    async with inbox(database, broker, {Note: poisoned}):
        assert await noted(1) == [("notes/1", "after")]
        assert await settled(2) == [("dead", 3), ("done", 1)]
        async with database.transaction() as tx:
            [letter] = await inbox_table.dead_letters(tx, 10)
        assert (letter.type, letter.last_error) == (TYPE, "LookupError: no antidote")
        cured = True
        async with database.transaction() as tx:
            assert await inbox_table.replay(tx, letter.event_id, overtaken=True) == [letter.event_id]
        assert await noted(2) == [("notes/1", "after"), ("notes/1", "poison")]


@pytest.mark.parametrize("separate", [True, False])
async def test_workers_do_not_read_past_the_events_of_others(database: Database, separate: bool) -> None:
    """However many events wait for the workers of separate events, or for the others, theirs come first."""
    few, many = (Other, Note) if separate else (Note, Other)
    waiting = [(many, f"notes/{number}") for number in range(1000)] + [(few, "notes/last")]
    envelopes = [
        Envelope(f"{number}", message.desc().type_name, "test", aggregate, datetime.now(UTC), b"", None)
        for number, (message, aggregate) in enumerate(waiting)
    ]
    async with database.transaction() as tx:
        await inbox_table.store(tx, envelopes, {Other.desc().type_name})
    async with database.transaction() as tx:
        [event] = await inbox_table.take(tx, 1, separate=separate)
        read = await tx.fetchval("SELECT pg_stat_get_xact_tuples_fetched('mesh.inbox'::regclass)")
    assert event.envelope.aggregate == "notes/last"
    assert read < 100


async def store_note(tx: Connection, number: int) -> None:
    """Stores an event of the only aggregate."""
    payload = Note(text=f"{number}").to_binary()
    await inbox_table.store(tx, [Envelope(f"{number}", TYPE, "test", "notes/1", datetime.now(UTC), payload, None)])


async def store_dead_letter(tx: Connection, number: int) -> None:
    """Stores an event of the only aggregate, which becomes a dead letter."""
    await store_note(tx, number)
    [event] = await inbox_table.take(tx, 1)
    assert await inbox_table.fail(tx, event, "LookupError", None)


async def test_a_worker_goes_on_only_for_events_that_no_other_has(database: Database) -> None:
    """Of three events, two are locked by other workers: one of these and the third are left when the first is done."""
    async with database.transaction() as tx:
        await inbox_table.store(
            tx,
            [
                Envelope(f"{number}", TYPE, "test", f"notes/{number}", datetime.now(UTC), b"", None)
                for number in range(3)
            ],
        )
    async with database.transaction() as worker, database.transaction() as other:
        [first] = await inbox_table.take(worker, 1)
        [second] = await inbox_table.take(other, 1)
        assert await inbox_table.finish(worker, [first])
        async with database.transaction() as third:
            assert await inbox_table.take(third, 1) == [], "the first worker takes the third event next"
            assert not await inbox_table.finish(other, [second])


async def test_a_dead_letter_is_not_replayed_beside_a_later_event(database: Database) -> None:
    """While a worker has a later event of the aggregate, a replay leaves the dead letter out; afterwards it is
    overtaken, and is replayed only if that is asked for.
    """
    async with database.transaction() as tx:
        await store_dead_letter(tx, 1)
        await store_note(tx, 2)
    async with database.transaction() as worker:
        [later] = await inbox_table.take(worker, 10)
        async with database.transaction() as tx:
            assert await inbox_table.replay(tx, None, overtaken=True) == []
        await inbox_table.finish(worker, [later])
    async with database.transaction() as tx:
        [letter] = await inbox_table.dead_letters(tx, 10)
        assert letter.overtaken
        assert await inbox_table.replay(tx, None) == []
        assert await inbox_table.replay(tx, "1") == []
        assert await inbox_table.replay(tx, "1", overtaken=True) == ["1"]


async def test_a_dead_letter_is_replayed_before_later_events_that_wait(database: Database) -> None:
    """Only handled events overtake it: a replay puts it in its place."""
    async with database.transaction() as tx:
        await store_dead_letter(tx, 1)
        await store_note(tx, 2)
        assert await inbox_table.replay(tx, None) == ["1"]
        assert [event.envelope.id for event in await inbox_table.take(tx, 10)] == ["1", "2"]


async def test_a_worker_that_looked_before_a_replay_takes_no_later_event(database: Database) -> None:
    """A replay that commits while a worker locks a later event makes the worker leave the aggregate to others."""
    async with database.transaction() as tx:
        await store_dead_letter(tx, 1)
        await store_note(tx, 2)

    async def take() -> list[str]:
        async with database.transaction() as worker:
            return [event.envelope.id for event in await inbox_table.take(worker, 10)]

    async with database.transaction() as tx:
        assert await inbox_table.replay(tx, None) == ["1"]
        looking = asyncio.create_task(take())
        async with database.transaction() as watcher:
            while not await watcher.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0.01)
    assert await looking == []
    assert await take() == ["1", "2"]


@pytest.mark.usefixtures("short_pauses")
async def test_a_replayed_event_does_not_run_beside_a_later_one(
    database: Database, broker: Broker, noted: Noted
) -> None:
    """Two workers handle the events of an aggregate one after the other, also if one of them was a dead letter."""
    began, go_on = asyncio.Event(), asyncio.Event()
    running = Counter[str]()

    async def slow(tx: Connection, event: Event[Any]) -> None:
        running["now"] += 1
        running["most"] = max(running["most"], running["now"])
        began.set()
        await go_on.wait()
        await note(tx, event)
        running["now"] -= 1

    async with database.transaction() as tx:
        await store_dead_letter(tx, 1)
        await store_note(tx, 2)
    async with inbox(database, broker, {Note: slow}):
        await began.wait()
        async with database.transaction() as tx:
            replayed = await inbox_table.replay(tx, None)
        await asyncio.sleep(0.5)  # longer than the pause of the other worker
        go_on.set()
        await noted(1)
    assert replayed == []
    assert running["most"] == 1


@pytest.mark.usefixtures("relay", "short_pauses")
async def test_a_handler_that_breaks_its_transaction_is_a_failed_try(
    database: Database, broker: Broker, publish_notes: PublishNotes, settled: Settled
) -> None:
    """A violated constraint counts as a failure, even if it is checked at the commit."""
    async with database.transaction() as tx:
        await tx.execute("ALTER TABLE notes ADD UNIQUE (text) DEFERRABLE INITIALLY DEFERRED")
        await tx.execute("INSERT INTO notes (aggregate, text) VALUES ('notes/0', 'taken')")
    await publish_notes("notes/1", "taken", "free")
    async with inbox(database, broker):
        assert await settled(2) == [("dead", 3), ("done", 1)]
    async with database.transaction() as tx:
        [letter] = await inbox_table.dead_letters(tx, 10)
    assert letter.last_error.startswith("UniqueViolationError")


@pytest.mark.usefixtures("relay", "short_pauses")
async def test_a_handler_that_hangs_is_a_failed_try(
    database: Database, broker: Broker, publish_notes: PublishNotes, settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that exceeds its timeout counts as a failure."""
    monkeypatch.setattr("mesh.events.inbox.HANDLER_TIMEOUT_S", 0.1)

    async def hang(tx: Connection, _: Event[Any]) -> None:
        await tx.execute("SELECT pg_sleep(2)")

    await publish_notes("notes/1", "a")
    async with inbox(database, broker, {Note: hang}):
        assert await settled(1) == [("dead", 3)]


@pytest.mark.usefixtures("short_pauses")
async def test_a_handler_whose_client_gives_up_a_connection_is_a_failed_try(
    database: Database, broker: Broker, settled: Settled
) -> None:
    """Client libraries cancel what waits for such a connection. Other events of the transaction take effect."""

    async def wait(tx: Connection, event: Event[Any]) -> None:
        if event.aggregate == "notes/1":
            answer = asyncio.get_running_loop().create_future()
            answer.cancel()
            await answer
        await note(tx, event)

    payload, now = Note(text="a").to_binary(), datetime.now(UTC)
    events = [Envelope(str(number), TYPE, "test", f"notes/{number}", now, payload, None) for number in (1, 2)]
    async with database.transaction() as tx:
        await inbox_table.store(tx, events)
    async with inbox(database, broker, {Note: wait}):
        assert await settled(2) == [("dead", 3), ("done", 1)]


@pytest.mark.usefixtures("relay")
async def test_a_session_in_which_a_table_is_missing_is_replaced(
    database: Database, broker: Broker, publish_notes: PublishNotes, settled: Settled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler fails in it for ever if the search_path or the privileges of its role have changed since it began."""
    monkeypatch.setattr("mesh.database.database.RETRY_AFTER_S", 0.0)
    sessions: list[int] = []

    async def read_missing(tx: Connection, _: Event[Any]) -> None:
        sessions.append(await tx.fetchval("SELECT pg_backend_pid()"))
        await tx.execute("SELECT FROM missing")

    await publish_notes("notes/1", "a")
    async with inbox(database, broker, {Note: read_missing}, workers=1):
        assert await settled(1) == [("dead", 3)]
    assert len(set(sessions)) == len(sessions) >= 3


async def test_an_undeliverable_event_becomes_a_dead_letter(
    database: Database, broker: Broker, publish_notes: PublishNotes, settled: Settled, server: BrokerServer
) -> None:
    """Malformed payloads become dead letters at once, types without a handler after all tries, because a newer replica
    may have one. A missing id is replaced by the broker's.
    """
    await server.provision({"test": [TYPE, Other.desc().type_name]})
    attributes = {"type": TYPE, "source": "test"}
    async with inbox(database, broker):
        await server.publish(TYPE, b"\xff", attributes | {"id": "1"})
        other = Other.desc().type_name
        await server.publish(other, b"", attributes | {"type": other, "id": "2", "time": "yesterday"})
        given = await server.publish(TYPE, b"\xff", attributes)
        assert await settled(3) == [("dead", 1), ("dead", 3), ("dead", 1)]
    async with database.transaction() as tx:
        letters = await inbox_table.dead_letters(tx, 10)
    assert [letter.event_id for letter in letters] == ["1", "2", given]
    assert letters[1].last_error == "UnknownTypeError: test has no handler for meshwright.test.v1.Other"
    assert letters[0].last_error.startswith(f"UndeliverableError: the payload is not a {TYPE}: ")


FORGED = {
    "without attributes, as the broker's own answers": {},
    "of another type": {"type": "meshwright.test.v1.Other", "source": "test"},
    "of another source": {"type": TYPE, "source": "orders"},
    "of no source": {"type": TYPE},
}


@pytest.mark.parametrize("attributes", FORGED.values(), ids=list(FORGED))
async def test_a_forged_event_takes_no_effect(
    database: Database,
    broker: Broker,
    publish_notes: PublishNotes,
    noted: Noted,
    server: BrokerServer,
    attributes: dict[str, str],
) -> None:
    """An event that contradicts the authorised type and source is rejected and counted, and the next one is handled."""
    counted = {"type": TYPE, "outcome": "refused"}
    before = REGISTRY.get_sample_value("mesh_events_handled_total", counted) or 0
    await server.publish(TYPE, Note(text="forged").to_binary(), attributes)
    await publish_notes("notes/1", "true")
    async with inbox(database, broker), Relay(database, broker):
        assert await noted(1) == [("notes/1", "true")]
    assert REGISTRY.get_sample_value("mesh_events_handled_total", counted) == before + 1
    assert await states(database) == [("done", 1)]


async def test_a_handler_of_an_undeclared_event_is_an_error(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted, server: BrokerServer
) -> None:
    """A handler of an event that the contract does not let the service consume is reported."""
    with pytest.raises(
        Unavailable, match=r"The consumer test does not deliver meshwright\.test\.v1\.Other\. Name test in"
    ):
        await broker.subscribe("test", [TYPE, Other.desc().type_name])
    await publish_notes("notes/1", "a")
    async with inbox(database, broker, {Note: note, Other: note}), Relay(database, broker):
        await server.provision({"test": [TYPE, Other.desc().type_name]})
        assert await noted(1) == [("notes/1", "a")]


@pytest.mark.usefixtures("relay")
async def test_replicas_share_the_work(
    database: Database, broker: Broker, server: BrokerServer, publish_notes: PublishNotes, noted: Noted
) -> None:
    """Two replicas together handle each event once, in order within each aggregate."""
    aggregates = [f"notes/{n}" for n in range(10)]
    async with server.connect() as second, inbox(database, broker), inbox(database, second):
        for aggregate in aggregates:
            await publish_notes(aggregate, *(str(n) for n in range(10)))
        everything = await noted(100)
    assert len(everything) == 100
    for aggregate in aggregates:
        assert [text for of, text in everything if of == aggregate] == [str(n) for n in range(10)]


@pytest.mark.usefixtures("relay")
async def test_replicas_that_come_and_go_keep_the_order(
    database: Database, broker: Broker, server: BrokerServer, publish_notes: PublishNotes, noted: Noted
) -> None:
    """Three replicas end at any moment and are replaced: each event takes effect once, in order in its aggregate."""
    aggregates, events = [f"notes/{n}" for n in range(5)], 60

    async def come_and_go(random: Random) -> None:
        async with server.connect() as own:
            while True:
                with suppress(TimeoutError):
                    async with inbox(database, own), asyncio.timeout(random.uniform(0.1, 1.5)):
                        await asyncio.Event().wait()

    replicas = [asyncio.create_task(come_and_go(Random(seed))) for seed in range(3)]
    try:
        await asyncio.gather(*(publish_notes(each, *map(str, range(events))) for each in aggregates))
        everything = await noted(len(aggregates) * events)
    finally:
        await stop(replicas)
    assert {each: [text for of, text in everything if of == each] for each in aggregates} == {
        each: list(map(str, range(events))) for each in aggregates
    }


@pytest.mark.usefixtures("relay")
async def test_a_consumer_that_was_away_catches_up_in_order(
    database: Database, broker: Broker, server: BrokerServer, eventually: Eventually
) -> None:
    """Thousands of events wait in the broker; the consumer handles each once, in order within each aggregate."""
    count, aggregates = 3000, 40

    async def publish_to_broker(aggregate: int) -> None:
        for number in range(aggregate, count, aggregates):
            payload = Note(text=str(number)).to_binary()
            now = datetime.now(UTC)
            await broker.publish(Envelope(str(number), TYPE, "test", f"notes/{aggregate}", now, payload, None))

    async def caught_up() -> bool:
        async with database.transaction() as tx:
            return bool(await tx.fetchval("SELECT count(*) FROM notes") >= count)

    await asyncio.gather(*map(publish_to_broker, range(aggregates)))
    async with server.connect() as second, inbox(database, broker), inbox(database, second):
        await eventually(caught_up)
    everything = await notes(database)
    for aggregate in range(aggregates):
        expected = [str(number) for number in range(aggregate, count, aggregates)]
        assert [text for of, text in everything if of == f"notes/{aggregate}"] == expected


@pytest.mark.usefixtures("short_pauses")
async def test_a_neighbour_of_a_failed_event_takes_effect_once(
    database: Database, broker: Broker, settled: Settled
) -> None:
    """Events share a transaction: one that fails undoes only its own effects, and effects outside are not repeated."""
    calls: Counter[str] = Counter()

    async def handle(tx: Connection, event: Event[Any]) -> None:
        calls[event.data.text] += 1
        await note(tx, event)
        if event.data.text == "bad":
            await tx.execute("SELECT 1 / 0")

    order = [("notes/1", "a"), ("notes/1", "bad"), ("notes/1", "held back"), ("notes/2", "b"), ("notes/2", "c")]
    envelopes = [
        Envelope(text, TYPE, "test", aggregate, datetime.now(UTC), Note(text=text).to_binary(), None)
        for aggregate, text in order
    ]
    async with database.transaction() as tx:
        await inbox_table.store(tx, envelopes)
    async with inbox(database, broker, {Note: handle}):
        assert await settled(5) == [("done", 1), ("dead", 3), ("done", 1), ("done", 1), ("done", 1)]
    assert calls == {"a": 1, "bad": 3, "held back": 1, "b": 1, "c": 1}
    assert await notes(database) == [("notes/1", "a"), ("notes/2", "b"), ("notes/2", "c"), ("notes/1", "held back")]


async def test_a_broker_that_lost_its_data_is_subscribed_to_anew(
    database: Database, own_server: BrokerServer, publish_notes: PublishNotes, noted: Noted
) -> None:
    """The inbox continues once the broker is provisioned again."""
    await own_server.start()
    await own_server.provision({"test": [TYPE]})
    async with own_server.connect() as broker, Relay(database, broker), inbox(database, broker):
        await publish_notes("notes/1", "a")
        await noted(1)
        await own_server.lose_everything()
        await publish_notes("notes/1", "b")
        await own_server.provision({"test": [TYPE]})
        assert await noted(2) == [("notes/1", "a"), ("notes/1", "b")]


@pytest.mark.usefixtures("relay")
async def test_an_event_of_any_package_arrives(
    database: Database, broker: Broker, server: BrokerServer, noted: Noted
) -> None:
    """A package need not be one of ours: the part before its version names the publisher."""
    await server.provision({"test": [Sale.desc().type_name]})
    async with database.transaction() as tx:
        await publish(tx, Sale(text="sold"), source="test", aggregate="sales/1")
    async with inbox(database, broker, {Sale: note}):
        assert await noted(1) == [("sales/1", "sold")]


@pytest.mark.usefixtures("relay")
async def test_only_types_with_handlers_are_received(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted
) -> None:
    """A service receives only the events that it has handlers for."""
    async with inbox(database, broker, {Other: note}, service="others"), inbox(database, broker):
        await publish_notes("notes/1", "a")
        await noted(1)
    assert await states(database) == [("done", 1)]


@pytest.mark.usefixtures("relay")
async def test_the_times_of_subscriptions_are_kept(
    database: Database, broker: Broker, server: BrokerServer, publish_notes: PublishNotes, noted: Noted
) -> None:
    """A type has the time of its first subscription until it is no longer received."""
    await server.provision({"test": [TYPE, Other.desc().type_name]})
    found = []
    for number, types in enumerate(({Note}, {Note, Other}, {Note}), 1):
        async with inbox(database, broker, dict.fromkeys(types, note)):
            await publish_notes("notes/1", "a")
            await noted(number)
        async with database.transaction() as tx:
            rows = await tx.fetch("SELECT type, since FROM mesh.subscriptions")
        found.append({row["type"]: row["since"] for row in rows})
    first, second, third = found
    assert second == first | {Other.desc().type_name: second[Other.desc().type_name]}
    assert second[Other.desc().type_name] > first[TYPE]
    assert third == first


@pytest.mark.usefixtures("relay")
async def test_a_killed_consumer_is_replaced(
    database: Database,
    broker: Broker,
    database_url: str,
    server: BrokerServer,
    publish_notes: PublishNotes,
    noted: Noted,
    eventually: Eventually,
) -> None:
    """After kill -9 during a handler, its writes are undone, and the next process handles the event."""
    script = """
import asyncio, sys
from mesh.database import Database
from mesh.events import Inbox, connect
from mesh.settings import DatabaseSettings
from tests.mesh.messages import Note
async def handler(tx, event):
    await tx.execute("INSERT INTO notes (aggregate, text) VALUES ('killed', $1)", event.data.text)
    await tx.execute("SELECT set_config('application_name', 'handling', false)")
    await asyncio.sleep(60)
async def main():
    async with (
        Database.open(DatabaseSettings(database_url=sys.argv[1]), "test") as database,
        connect(sys.argv[2], "test") as broker,
        Inbox(database, broker, service="test", handlers={Note: handler}),
    ):
        await asyncio.sleep(60)
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", "gen"])}
    consumer = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, database_url, server.url, env=environment
    )
    try:
        await publish_notes("notes/1", "a")

        async def handling() -> bool:
            async with database.transaction() as tx:
                return bool(
                    await tx.fetchval("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'handling'")
                )

        await eventually(handling)
    finally:
        consumer.send_signal(signal.SIGKILL)
        await consumer.wait()
    async with inbox(database, broker):
        assert await noted(1) == [("notes/1", "a")]


@pytest.mark.usefixtures("relay")
async def test_a_stopping_inbox_finishes_what_it_began(
    database: Database, broker: Broker, publish_notes: PublishNotes, eventually: Eventually
) -> None:
    """An effect that cannot be undone, such as a mail, is not cut off by an orderly stop: a batch is finished."""
    begun = asyncio.Event()

    async def slow(tx: Connection, event: Event[Any]) -> None:
        begun.set()
        await asyncio.sleep(0.3)
        await note(tx, event)

    await publish_notes("notes/1", "a", "b")
    async with inbox(database, broker, {Note: slow}):
        await begun.wait()
    one, both = [("notes/1", "a")], [("notes/1", "a"), ("notes/1", "b")]
    assert (done := await notes(database)) in (one, both)
    assert (await states(database))[: len(done)] == [("done", 1)] * len(done)


@pytest.mark.usefixtures("relay")
async def test_an_inbox_ends_although_its_end_is_cancelled(
    database: Database, broker: Broker, publish_notes: PublishNotes
) -> None:
    """Nothing of it goes on, also where a handler was at work."""
    begun = asyncio.Event()

    async def endless(_: Connection, __: Event[Any]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def serve() -> None:
        async with inbox(database, broker, {Note: endless}):
            await begun.wait()

    before = asyncio.all_tasks()
    await publish_notes("notes/1", "a")
    serving = asyncio.create_task(serve())
    await begun.wait()
    await asyncio.sleep(0.05)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert [task for task in asyncio.all_tasks() - before if "keep_running" in repr(task)] == []


@pytest.mark.usefixtures("relay")
async def test_a_handler_continues_the_trace(database: Database, broker: Broker, publish_notes: PublishNotes) -> None:
    """A handler runs in the trace of the call that published the event."""
    traceparent = f"00-{0xABC:032x}-{0xDEF:016x}-01"
    seen: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def look(_: Connection, __: Event[Any]) -> None:
        seen.set_result(tracing.inject().get("traceparent"))

    with tracing.span("a call", "SERVER", {"traceparent": traceparent}):
        await publish_notes("notes/1", "a")
    async with inbox(database, broker, {Note: look}), asyncio.timeout(30):
        assert await seen == traceparent


@pytest.mark.usefixtures("relay", "short_pauses")
async def test_outcomes_are_counted(
    database: Database, broker: Broker, publish_notes: PublishNotes, eventually: Eventually
) -> None:
    """Tries are counted by type and outcome, under the names of contracts only."""

    def count(outcome: str) -> float:
        return REGISTRY.get_sample_value("mesh_events_handled_total", {"type": TYPE, "outcome": outcome}) or 0

    async def fail(_: Connection, __: Event[Any]) -> None:
        raise LookupError

    before = {outcome: count(outcome) for outcome in ("done", "failed", "dead")}

    async def set_aside() -> bool:
        return count("dead") > before["dead"]

    await publish_notes("notes/1", "a")
    async with inbox(database, broker, {Note: fail}):
        await eventually(set_aside)
    assert {outcome: count(outcome) - before[outcome] for outcome in before} == {"done": 0, "failed": 2, "dead": 1}


async def test_a_concurrent_failure_of_two_workers_counts_once(database: Database) -> None:
    """A failure counts once if two workers took the event before either recorded it."""
    envelope = Envelope("1", TYPE, "test", "notes/1", datetime.now(UTC), b"", None)
    async with database.transaction() as tx:
        await inbox_table.store(tx, [envelope])
        [event] = await inbox_table.take(tx, 1)
        assert await inbox_table.fail(tx, event, "LookupError", 0.0)
        assert not await inbox_table.fail(tx, event, "LookupError", 0.0)
    assert await states(database) == [("pending", 1)]


async def test_done_events_are_deleted_after_their_time(
    database: Database, broker: Broker, publish_notes: PublishNotes, noted: Noted, eventually: Eventually
) -> None:
    """Rows that are older than the broker's copies are deleted when new ones are added."""
    async with inbox(database, broker), Relay(database, broker):
        await publish_notes("notes/1", "a", "b")
        await noted(2)
        async with database.transaction() as tx:
            await tx.execute("UPDATE mesh.inbox SET finished_at = now() - $1::interval", inbox_table.KEPT_FOR)
        await publish_notes("notes/1", "c")
        await noted(3)
    assert await states(database) == [("done", 1)]
