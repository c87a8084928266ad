"""The relay, from the outbox to the broker."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence

import asyncpg
import pytest
import structlog

from mesh.database import Database
from mesh.errors import Unavailable
from mesh.events import Broker, Relay, publish
from mesh.events.broker import Subscription
from mesh.events.envelope import Envelope
from mesh.events.outbox import KEPT_FOR
from tests.mesh.events.brokers import BrokerServer, received
from tests.mesh.messages import Note

PublishNotes = Callable[..., Awaitable[None]]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

NEWER, NEWEST = "meshwright.newer.v1.Added", "meshwright.newest.v1.Added"
"""Types that no broker is provisioned for."""

_LOCK_HOLDERS = """
SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""


async def _published(
    broker: Broker, server: BrokerServer, count: int, known: Sequence[Envelope] = ()
) -> list[Envelope]:
    """Returns the next events that the broker has for the subscription "test", but for repetitions of known ones."""
    types = [Note.desc().type_name]
    await server.provision({"test": types})
    while True:
        try:
            subscription = await broker.subscribe("test", types)
            break
        except Unavailable:
            await asyncio.sleep(0.05)
    events: list[Envelope] = []
    async with asyncio.timeout(30):
        while len(events) < count:
            events += [event for event in map(received, await subscription.next(1)) if event not in known]
            await subscription.ack()
    await subscription.close()
    return events


def _texts(events: list[Envelope]) -> list[str]:
    return [Note.from_binary(event.payload).text for event in events]


async def _waiting(database: Database) -> int:
    async with database.transaction() as tx:
        return int(await tx.fetchval("SELECT count(*) FROM mesh.outbox WHERE published_at IS NULL"))


async def test_rows_become_cloud_events_in_order(
    database: Database, broker: Broker, publish_notes: PublishNotes, server: BrokerServer, eventually: Eventually
) -> None:
    """Each row is published with its attributes, in order, and marked once the broker has it."""
    await publish_notes("notes/1", "a", "b", "c")
    async with Relay(database, broker):
        events = await _published(broker, server, 3)

        async def all_marked() -> bool:
            return await _waiting(database) == 0

        await eventually(all_marked)
    assert _texts(events) == ["a", "b", "c"]
    assert {(event.type, event.source, event.aggregate) for event in events} == {
        ("meshwright.test.v1.Note", "test", "notes/1")
    }
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT event_id, time FROM mesh.outbox ORDER BY id")
    assert [(event.id, event.time) for event in events] == [(str(row["event_id"]), row["time"]) for row in rows]


async def test_a_backlog_is_published_without_pauses(
    database: Database,
    broker: Broker,
    publish_notes: PublishNotes,
    server: BrokerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Batches follow each other without a pause, and new rows wake the relay, whose polling is disabled here."""
    monkeypatch.setattr("mesh.events.relay.BATCH_ROWS_MAX", 2)
    monkeypatch.setattr("mesh.events.relay.POLL_PAUSE_S", 3600.0)
    await publish_notes("notes/1", "a", "b", "c", "d", "e")
    async with Relay(database, broker):
        events = await _published(broker, server, 5)
        await publish_notes("notes/1", "f", "g")
        events += await _published(broker, server, 2, known=events)
    assert _texts(events) == ["a", "b", "c", "d", "e", "f", "g"]


async def test_a_row_that_commits_late_is_not_lost(
    database: Database, broker: Broker, publish_notes: PublishNotes, server: BrokerServer
) -> None:
    """A row with a smaller id than one already published is published when its transaction commits."""
    async with Relay(database, broker):
        async with database.transaction() as tx:
            await publish(tx, Note(text="late"), source="test", aggregate="late")
            await publish_notes("early", "early")
            assert _texts(await _published(broker, server, 1)) == ["early"]
        assert _texts(await _published(broker, server, 1)) == ["late"]


async def test_one_relay_is_active_and_another_takes_over(
    database: Database, broker: Broker, publish_notes: PublishNotes, server: BrokerServer, eventually: Eventually
) -> None:
    """Only one of several relays publishes; when its session ends, another takes over."""

    async def none_waits() -> bool:
        return await _waiting(database) == 0

    async with Relay(database, broker), Relay(database, broker):
        await publish_notes("notes/1", *(str(n) for n in range(50)))
        before = await _published(broker, server, 50)
        assert _texts(before) == [str(n) for n in range(50)]
        await eventually(none_waits)  # rows not yet marked as published would be published again
        async with database.transaction() as tx:
            holders = [row["pid"] for row in await tx.fetch(_LOCK_HOLDERS)]
            assert len(holders) == 1
            await tx.execute("SELECT pg_terminate_backend($1)", holders[0])
        await publish_notes("notes/1", "after")
        assert _texts(await _published(broker, server, 1, before)) == ["after"]


async def test_a_broker_that_is_away_delays_and_loses_nothing(
    database: Database, publish_notes: PublishNotes, eventually: Eventually, own_server: BrokerServer
) -> None:
    """While the broker is down or killed, transactions commit; afterwards all events are published in order."""

    async def none_waits() -> bool:
        return await _waiting(database) == 0

    async with own_server.connect() as broker, Relay(database, broker):
        await publish_notes("notes/1", "a", "b")
        await own_server.start()
        before = await _published(broker, own_server, 2)
        assert _texts(before) == ["a", "b"]
        await eventually(none_waits)
        await own_server.kill()
        await publish_notes("notes/1", "c", "d")
        assert await _waiting(database) == 2
        await own_server.start()
        assert _texts(await _published(broker, own_server, 2, before)) == ["c", "d"]


async def test_a_broker_that_lost_its_data_is_published_to(
    database: Database, publish_notes: PublishNotes, own_server: BrokerServer
) -> None:
    """Events that are published before the broker is provisioned again reach it afterwards."""
    await own_server.start()
    async with own_server.connect() as broker, Relay(database, broker):
        await publish_notes("notes/1", "a")
        before = await _published(broker, own_server, 1)
        await own_server.lose_everything()
        await publish_notes("notes/1", "b")
        assert _texts(await _published(broker, own_server, 1, before)) == ["b"]


async def test_published_rows_are_deleted_after_their_time(
    database: Database, broker: Broker, publish_notes: PublishNotes, eventually: Eventually
) -> None:
    """Old rows are deleted when new ones are published, so that the table stays bounded."""
    await publish_notes("notes/1", *"abc")
    async with database.transaction() as tx:
        await tx.execute("UPDATE mesh.outbox SET published_at = now() - $1::interval", KEPT_FOR)
    await publish_notes("notes/1", "d")

    async def purged() -> bool:
        async with database.transaction() as tx:
            return int(await tx.fetchval("SELECT count(*) FROM mesh.outbox")) == 2

    async with Relay(database, broker):
        await eventually(purged)


class RecordingBroker:
    """A broker to which each publication takes a while. It refuses types that a test names, once or always."""

    def __init__(self, pause_s: float = 0.0, refused: Collection[str] = (), refusals_max: int | None = None) -> None:
        """Starts without events."""
        self.published: list[tuple[str, str]] = []
        self.refusals = 0
        self._pause_s = pause_s
        self._refused = refused
        self._refusals_max = refusals_max

    async def publish(self, event: Envelope) -> None:
        """Publishes an event, or raises Unavailable."""
        await asyncio.sleep(self._pause_s)
        if event.type in self._refused and self.refusals != self._refusals_max:
            self.refusals += 1
            raise Unavailable("The test refuses this type.")
        self.published.append((event.aggregate, Note.from_binary(event.payload).text))

    async def subscribe(self, name: str, event_types: Collection[str]) -> Subscription:
        """Rejects subscribers."""
        raise NotImplementedError


async def test_a_slow_broker_is_published_to_in_parts(
    database: Database, publish_notes: PublishNotes, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that takes longer than the relay may be idle is marked part by part, and nothing is published twice."""
    monkeypatch.setattr("mesh.events.relay.BATCH_S", 0.1)
    monkeypatch.setattr("mesh.events.relay.IDLE_S_MAX", 3.0)
    monkeypatch.setattr("mesh.events.relay.POLL_PAUSE_S", 0.1)
    texts = [str(number) for number in range(40)]
    await publish_notes("notes/1", *texts)
    broker = RecordingBroker(pause_s=0.1)

    async def none_waits() -> bool:
        return await _waiting(database) == 0

    async with Relay(database, broker):
        await eventually(none_waits)
    assert broker.published == [("notes/1", text) for text in texts]


async def test_nothing_is_published_that_can_not_be_marked(
    database: Database, database_url: str, publish_notes: PublishNotes, eventually: Eventually
) -> None:
    """While the database is read-only, events wait, instead of being published again and again."""
    await publish_notes("notes/1", "a")
    broker = RecordingBroker()
    admin = await asyncpg.connect(database_url)
    try:
        await admin.execute("ALTER ROLE CURRENT_USER SET default_transaction_read_only = on")
        with structlog.testing.capture_logs() as logged:
            async with Relay(database, broker):

                async def has_failed() -> bool:
                    return any(line.get("work") == "relay" for line in logged)

                async def none_waits() -> bool:
                    return await _waiting(database) == 0

                await eventually(has_failed)
                assert broker.published == []
                await admin.execute("ALTER ROLE CURRENT_USER RESET default_transaction_read_only")
                await eventually(none_waits)
    finally:
        await admin.close()
    assert broker.published == [("notes/1", "a")]


async def _publish_others(database: Database, *aggregates: str, event_type: str = NEWER) -> None:
    """Publishes an event of another type about each of these aggregates."""
    async with database.transaction() as tx:
        for aggregate in aggregates:
            await tx.execute(
                "INSERT INTO mesh.outbox (type, source, aggregate, payload) VALUES ($1, 'test', $2, $3)",
                event_type,
                aggregate,
                Note(text=event_type).to_binary(),
            )


@pytest.mark.parametrize("batch_rows_max", [2, 100])
async def test_a_type_that_the_broker_does_not_take_holds_back_only_its_aggregates(
    database: Database,
    broker: Broker,
    publish_notes: PublishNotes,
    server: BrokerServer,
    monkeypatch: pytest.MonkeyPatch,
    batch_rows_max: int,
) -> None:
    """However many events of types that are not provisioned wait: those of other aggregates, and those before them,
    are published. The log names the types.
    """
    monkeypatch.setattr("mesh.events.relay.BATCH_ROWS_MAX", batch_rows_max)
    await _publish_others(database, "things/1", "things/2", "things/3", event_type=NEWEST)
    await publish_notes("notes/1", "before")
    await _publish_others(database, "things/1", "things/4", "things/5", "notes/1")
    await publish_notes("notes/1", "after")
    await publish_notes("notes/2", "a", "b")
    with structlog.testing.capture_logs() as logged:
        async with Relay(database, broker):
            events = await _published(broker, server, 3)
            assert [(event.aggregate, text) for event, text in zip(events, _texts(events), strict=True)] == [
                ("notes/1", "before"),
                ("notes/2", "a"),
                ("notes/2", "b"),
            ]
            while not any(NEWER in line.get("error", "") and NEWEST in line["error"] for line in logged):
                await asyncio.sleep(0.02)
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT type, aggregate FROM mesh.outbox WHERE published_at IS NULL ORDER BY id")
    newest = [(NEWEST, f"things/{number}") for number in (1, 2, 3)]
    newer = [(NEWER, aggregate) for aggregate in ("things/1", "things/4", "things/5", "notes/1")]
    assert [tuple(row) for row in rows] == [*newest, *newer, (Note.desc().type_name, "notes/1")]


async def test_a_refused_event_is_tried_again_while_others_wait(
    database: Database, publish_notes: PublishNotes, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backlog of other types does not put it off for ever, and what waited for it follows it."""
    monkeypatch.setattr("mesh.events.relay.BATCH_ROWS_MAX", 2)
    monkeypatch.setattr("mesh.events.relay.BATCHES_MAX", 3)
    await _publish_others(database, "notes/1")
    await publish_notes("notes/1", "a", "b")
    await publish_notes("notes/2", *map(str, range(20)))
    broker = RecordingBroker(refused=[NEWER], refusals_max=1)

    async def none_waits() -> bool:
        return await _waiting(database) == 0

    async with Relay(database, broker):
        await eventually(none_waits)
    assert [text for aggregate, text in broker.published if aggregate == "notes/1"] == [NEWER, "a", "b"]
    assert [text for aggregate, text in broker.published if aggregate == "notes/2"] == [*map(str, range(20))]
    assert broker.published.index(("notes/1", NEWER)) < broker.published.index(("notes/2", "19"))
