"""From the outbox to the broker."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

from mesh.database import Database
from mesh.errors import Unavailable
from mesh.events import Broker, Relay, publish
from mesh.events.envelope import Envelope
from mesh.events.outbox import KEPT_FOR
from tests.mesh.events.brokers import BrokerServer, received
from tests.mesh.messages import Note

Tell = Callable[..., Awaitable[None]]
Eventually = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

_LOCK_HOLDERS = """
SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
WHERE locktype = 'advisory' AND granted AND datname = current_database()
"""


async def _published(broker: Broker, server: BrokerServer, count: int) -> list[Envelope]:
    """The first so many events that the broker has."""
    probe, types = f"probe-{uuid4().hex}", [Note.desc().type_name]
    await server.provision({probe: types})
    while True:
        try:
            subscription = await broker.subscribe(probe, types)
            break
        except Unavailable:
            await asyncio.sleep(0.05)
    events: list[Envelope] = []
    async with asyncio.timeout(30):
        while len(events) < count:
            if (delivery := await subscription.next()) is not None:
                events.append(received(delivery))
                await delivery.ack()
    return events


def _texts(events: list[Envelope]) -> list[str]:
    return [Note.from_binary(event.payload).text for event in events]


async def _waiting(database: Database) -> int:
    async with database.transaction() as tx:
        return int(await tx.fetchval("SELECT count(*) FROM mesh.outbox WHERE published_at IS NULL"))


async def test_rows_become_cloud_events_in_order(
    database: Database, broker: Broker, tell: Tell, server: BrokerServer, eventually: Eventually
) -> None:
    """Each row is published with its facts, in order, and marked once the broker has it."""
    await tell("notes/1", "a", "b", "c")
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


async def test_a_row_that_commits_late_is_not_lost(
    database: Database, broker: Broker, tell: Tell, server: BrokerServer
) -> None:
    """A row whose id is smaller than one already published goes out when its transaction commits."""
    async with Relay(database, broker):
        async with database.transaction() as tx:
            await publish(tx, Note(text="late"), source="test", aggregate="late")
            await tell("early", "early")
            assert _texts(await _published(broker, server, 1)) == ["early"]
        assert _texts(await _published(broker, server, 2)) == ["early", "late"]


async def test_one_relay_is_active_and_another_takes_over(
    database: Database, broker: Broker, tell: Tell, server: BrokerServer, eventually: Eventually
) -> None:
    """Of several relays one publishes, so that nothing is published twice; when its session dies another goes on."""
    async with Relay(database, broker), Relay(database, broker):
        await tell("notes/1", *(str(n) for n in range(50)))
        await _published(broker, server, 50)
        async with database.transaction() as tx:
            holders = [row["pid"] for row in await tx.fetch(_LOCK_HOLDERS)]
            assert len(holders) == 1
            await tx.execute("SELECT pg_terminate_backend($1)", holders[0])
        await tell("notes/1", "after")
        assert _texts(await _published(broker, server, 51)) == [*(str(n) for n in range(50)), "after"]


async def test_a_broker_that_is_away_delays_and_loses_nothing(
    database: Database, tell: Tell, eventually: Eventually, own_server: BrokerServer
) -> None:
    """While the broker is down from the start, or killed, transactions commit; all goes out in order afterwards."""

    async def none_waits() -> bool:
        return await _waiting(database) == 0

    async with own_server.connect() as broker, Relay(database, broker):
        await tell("notes/1", "a", "b")
        await own_server.start()
        assert _texts(await _published(broker, own_server, 2)) == ["a", "b"]
        await eventually(none_waits)
        await own_server.kill()
        await tell("notes/1", "c", "d")
        assert await _waiting(database) == 2
        await own_server.start()
        assert _texts(await _published(broker, own_server, 4)) == ["a", "b", "c", "d"]


async def test_a_broker_that_was_emptied_is_published_to(
    database: Database, broker: Broker, tell: Tell, server: BrokerServer
) -> None:
    """What is told while the broker has lost its data is published once it is provisioned anew."""
    async with Relay(database, broker):
        await tell("notes/1", "a")
        await _published(broker, server, 1)
        await server.lose_everything()
        await tell("notes/1", "b")
        await server.provision({})
        assert _texts(await _published(broker, server, 1)) == ["b"]


async def test_published_rows_are_deleted_after_their_time(
    database: Database, broker: Broker, tell: Tell, eventually: Eventually
) -> None:
    """Old rows go away with the publishing of new ones, so the table stays bounded."""
    await tell("notes/1", *"abc")
    async with database.transaction() as tx:
        await tx.execute("UPDATE mesh.outbox SET published_at = now() - $1::interval", KEPT_FOR)
    await tell("notes/1", "d")

    async def purged() -> bool:
        async with database.transaction() as tx:
            return int(await tx.fetchval("SELECT count(*) FROM mesh.outbox")) == 2

    async with Relay(database, broker):
        await eventually(purged)
