"""Presence of participants over several replicas, one of which may be killed."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
import structlog

from mesh.database import Database
from services.support import presence_storage
from services.support.domain import Actor
from services.support.presence import Presence
from services.support.presence_storage import EXPIRES_AFTER, OpenStream
from tests.issuer import Issuer
from tests.services.support.replica import Replica, User
from tests.services.support.waiting import are_waiting, eventually

RENEW_EVERY_S = 0.05


async def age(database: Database, by: timedelta) -> None:
    """Makes all open streams look as if they had been renewed longer ago."""
    async with database.transaction() as tx:
        await tx.execute("UPDATE open_streams SET renew_time = renew_time - $1::interval", by)


async def test_users_come_and_go(ada: User, eve: User) -> None:
    """Streams report it, and the list has it; a user with two streams is connected until the last one ends."""
    name = (await ada.create()).name
    async with ada.watch(name) as hers:
        own = await hers.participant("users/ada", connected=True)
        assert (own.name, own.staff, own.last_seen_time) == (f"{name}/participants/ada", False, None)
        async with eve.watch(name) as first:
            arrived = await hers.participant("users/eve", connected=True)
            assert arrived.staff
            async with eve.chat(name) as second:
                await second.participant("users/eve", connected=True)
            await ada.post(name, "Still there?")
            await first.message()
            assert (await ada.participants(name))["users/eve"].connected
        gone = await hers.participant("users/eve", connected=False)
        assert gone.last_seen_time is not None
        assert (await ada.participants(name))["users/eve"] == gone


async def test_a_user_who_only_posts_was_seen(ada: User) -> None:
    """Calls leave a time, and connect nobody."""
    name = (await ada.create()).name
    assert await ada.participants(name) == {}
    posted = await ada.post(name, "Hello")
    [participant] = (await ada.participants(name)).values()
    assert not participant.connected
    assert participant.last_seen_time is not None
    assert posted.create_time is not None
    assert abs(participant.last_seen_time.to_datetime() - posted.create_time.to_datetime()) < timedelta(minutes=1)


async def test_users_are_reported_across_replicas(issuer: Issuer, database: Database, ada: User) -> None:
    """A stream at one replica reports who connects at another."""
    async with Replica.running(issuer, database) as other:
        name = (await ada.create()).name
        async with ada.watch(name) as hers, other.user("users/eve", staff=True).watch(name):
            await hers.participant("users/eve", connected=True)


async def test_the_streams_of_a_killed_replica_expire(issuer: Issuer, database: Database, ada: User) -> None:
    """Nobody renews them: the list ends them by itself, and another replica deletes them and reports it."""
    name = (await ada.create()).name
    conversation = UUID(name.removeprefix("conversations/"))
    dead = OpenStream(UUID(int=1), conversation, Actor("users/eve", staff=True))
    async with database.transaction() as tx:
        assert await presence_storage.renew(tx, [dead]) == [conversation]
        assert await presence_storage.renew(tx, [dead]) == []
    async with ada.watch(name) as hers:
        await hers.participant("users/eve", connected=True)
        await age(database, EXPIRES_AFTER)
        assert not (await ada.participants(name))["users/eve"].connected
        async with Presence(database, renew_every_s=RENEW_EVERY_S):
            await hers.participant("users/eve", connected=False)
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM open_streams WHERE uid = $1", dead.uid) == 0


async def test_a_replica_that_was_paused_writes_its_streams_again(issuer: Issuer, database: Database) -> None:
    """Another replica deleted them meanwhile; the user is connected again."""
    async with Replica.running(issuer, database, renew_every_s=RENEW_EVERY_S) as replica:
        ada = replica.user("users/ada")
        name = (await ada.create()).name

        async def is_connected() -> bool:
            return (await ada.participants(name))["users/ada"].connected

        async with ada.watch(name) as chat:
            await chat.participant("users/ada", connected=True)
            async with database.transaction() as tx:
                await tx.execute("DELETE FROM open_streams")
            await eventually(is_connected)


async def test_open_streams_are_renewed(issuer: Issuer, database: Database) -> None:
    """A stream that stays open never expires."""
    async with Replica.running(issuer, database, renew_every_s=RENEW_EVERY_S) as replica:
        ada = replica.user("users/ada")
        name = (await ada.create()).name
        async with ada.watch(name) as chat:
            await chat.participant("users/ada", connected=True)
            await age(database, EXPIRES_AFTER / 2)

            async def is_renewed() -> bool:
                async with database.transaction() as tx:
                    query = "SELECT bool_and(renew_time > now() - $1::interval) FROM open_streams"
                    return bool(await tx.fetchval(query, EXPIRES_AFTER / 4))

            await eventually(is_renewed)


async def test_the_newest_times_win(database: Database, ada: User) -> None:
    """An expired stream does not make a user look as if they had left before their last message."""
    name = (await ada.create()).name
    stream = OpenStream(UUID(int=1), UUID(name.removeprefix("conversations/")), Actor("users/ada"))
    async with database.transaction() as tx:
        await presence_storage.renew(tx, [stream])
    await age(database, 2 * EXPIRES_AFTER)
    await ada.post(name, "Here I am")
    before = (await ada.participants(name))["users/ada"]
    async with database.transaction() as tx:
        await presence_storage.end(tx, [])
    assert (await ada.participants(name))["users/ada"] == before


async def test_two_replicas_take_over_streams_of_each_other(database: Database, ada: User) -> None:
    """Each opens streams of the conversations in which the other one ends some, and no write of presence fails."""
    eve = Actor("users/eve", staff=True)
    conversations = sorted([UUID((await ada.create()).name.removeprefix("conversations/")) for _ in range(2)])
    with structlog.testing.capture_logs() as logged:
        async with Presence(database) as one, Presence(database) as two, AsyncExitStack() as held:
            with one.connected(conversations[0], eve), two.connected(conversations[1], eve):
                await eventually(partial(has_streams, database, 2))
                tx = await held.enter_async_context(database.transaction())
                ending = [row["uid"] for row in await tx.fetch("SELECT uid FROM open_streams FOR UPDATE")]
            with one.connected(conversations[1], eve), two.connected(conversations[0], eve):
                await eventually(partial(are_waiting, database, 2))
                await held.aclose()
                await eventually(partial(has_streams, database, 2, other_than=ending))
    assert [record for record in logged if record["log_level"] == "warning"] == []


@pytest.mark.parametrize("blocked", [0, 10, 19])
async def test_ended_and_opened_streams_of_many_conversations_take_turns(
    database: Database, ada: User, blocked: int
) -> None:
    """Participants are written in one order, whichever of them another transaction holds for a while."""
    eve = Actor("users/eve", staff=True)
    conversations = sorted([UUID((await ada.create()).name.removeprefix("conversations/")) for _ in range(20)])
    ending = [OpenStream(uuid4(), each, eve) for each in conversations]
    opening = [OpenStream(uuid4(), each, eve) for each in conversations]

    async def end() -> None:
        async with database.transaction() as tx:
            await presence_storage.end(tx, [each.uid for each in ending])

    async def open_all() -> None:
        async with database.transaction() as tx:
            await presence_storage.renew(tx, opening)

    async with database.transaction() as tx:
        await presence_storage.renew(tx, ending)
    async with database.transaction() as tx:
        query = "SELECT FROM participants WHERE conversation_uid = $1 FOR UPDATE"
        await tx.execute(query, conversations[blocked])
        tasks = [asyncio.create_task(end())]
        await eventually(partial(are_waiting, database, 1))
        tasks.append(asyncio.create_task(open_all()))
        await eventually(partial(are_waiting, database, 2))
    await asyncio.gather(*tasks)


async def has_streams(database: Database, count: int, *, other_than: Sequence[UUID] = ()) -> bool:
    """Returns whether this number of other streams is written."""
    async with database.transaction() as tx:
        query = "SELECT count(*) = $1 FROM open_streams WHERE uid <> ALL($2)"
        return bool(await tx.fetchval(query, count, list(other_than)))
