"""The reaction of support to the deletion of a user."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from meshwright.identity.v1.events_pb import UserDeleted

from local.nats import Nats
from mesh import erased_users
from mesh.database import Database
from mesh.errors import NotFound, Unauthenticated
from mesh.events import Broker, Event, connect, inbox, inbox_table
from mesh.events.envelope import Envelope
from mesh.events.nats.provision import provision
from services.support import erasure_storage, presence_storage, storage
from services.support.consumers import Consumers
from services.support.domain import Actor
from services.support.presence_storage import OpenStream
from tests.broker import ADMIN
from tests.limited_statements import limit_statements
from tests.services.support.replica import User
from tests.services.support.waiting import are_waiting, eventually


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker of the test's own."""
    kind = UserDeleted.desc().type_name
    async with Nats(tmp_path / "nats", [ADMIN]) as server:
        await provision(server.url(ADMIN.name), [kind], {"support": [kind]})
        async with connect(server.url(ADMIN.name), "support") as connected:
            yield connected


def deletion(user: str) -> Event[UserDeleted]:
    """Returns the event of a deleted user."""
    return Event(str(uuid4()), "UserDeleted", "identity", user, datetime.now(UTC), UserDeleted(user=user))


async def delete(database: Database, user: str) -> None:
    """Handles the event of a deleted user, as the inbox does."""
    async with database.transaction() as tx:
        await Consumers().handlers()[UserDeleted](tx, deletion(user))


async def traces(database: Database, *words: str) -> dict[str, int]:
    """Returns the number of rows of each table of the service that contain one of these words."""
    async with database.transaction() as tx:
        tables = await tx.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables "
            "WHERE schemaname = 'public' OR (schemaname = 'mesh' AND tablename = 'answers')"
        )
        counts = {}
        for table in tables:
            query = f"SELECT count(*) FROM {table['name']} AS row WHERE row::text LIKE ANY($1)"
            counts[table["name"]] = await tx.fetchval(query, [f"%{word}%" for word in words])
    return {name: count for name, count in counts.items() if count}


async def test_a_deleted_customer_is_erased(database: Database, ada: User, bob: User, eve: User) -> None:
    """Nothing of the conversations is left, theirs and the answers of staff, nor of stored answers. Others keep all."""
    name, another = (await ada.create("My saw", str(uuid4()))).name, (await bob.create()).name
    await ada.post(name, "Ada's secret", str(uuid4()))
    await eve.post(name, "Ada's secret is safe")
    await bob.post(another, "Hello")
    await delete(database, "users/ada")
    await delete(database, "users/ada")
    assert await traces(database, "users/ada", "Ada", "My saw") == {"public.erased_users": 1}
    assert [message.text for message in (await bob.page(another)).messages] == ["Hello"]
    with pytest.raises(NotFound):
        await eve.get(name)


async def test_deleted_staff_leave_their_answers_without_a_name(database: Database, ada: User, eve: User) -> None:
    """The customer keeps the conversation."""
    name = (await ada.create()).name
    await ada.post(name, "Hello")
    answer = await eve.post(name, "Hello yourself", str(uuid4()))
    await delete(database, "users/eve")
    assert await traces(database, "users/eve") == {"public.erased_users": 1}
    [kept, _] = (await ada.page(name)).messages
    assert (kept.text, kept.from_staff, kept.sender) == (answer.text, True, "")
    assert (await ada.participants(name)).keys() == {"users/ada"}


@pytest.mark.parametrize("user", ["users/ada", "users/eve"])
async def test_messages_are_erased_in_parts(database: Database, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement has so much to do that its time limit ends the erasure, at each try."""
    monkeypatch.setattr(erased_users, "ERASED_PER_STATEMENT_MAX", 2)
    async with database.transaction() as tx:
        await tx.execute("""
            INSERT INTO conversations
            SELECT gen_random_uuid(), 'users/ada', 'A blunt saw', 'open', 3, now(), now(), 1 FROM generate_series(1, 2)
        """)
        await tx.execute("INSERT INTO participants SELECT uid, 'users/eve', true, now() FROM conversations")
        await tx.execute("""
            INSERT INTO messages SELECT uid, number, 'users/eve', true, 'Hello', now(), gen_random_uuid()
            FROM conversations, generate_series(1, 3) AS number
        """)
    await limit_statements(database, "messages", 2)
    await delete(database, user)
    assert await traces(database, user) == {"public.erased_users": 1}


async def test_deleted_staff_are_shown_as_gone(database: Database, ada: User, eve: User) -> None:
    """The customer's open stream reports it, though nothing of them is stored any more."""
    name = (await ada.create()).name
    async with ada.watch(name) as hers, eve.watch(name):
        await hers.participant("users/eve", connected=True)
        await delete(database, "users/eve")
        gone = await hers.participant("users/eve", connected=False)
        assert gone.last_seen_time is not None
    assert await traces(database, "users/eve") == {"public.erased_users": 1}


async def test_open_streams_end_with_their_user(database: Database, ada: User, eve: User) -> None:
    """Streams of a deleted customer, of staff in the customer's conversation, and of deleted staff end."""
    first, second = (await ada.create()).name, (await ada.create()).name
    async with eve.chat(first) as ours, ada.watch(second) as hers:
        await ours.participant("users/eve", connected=True)
        await hers.participant("users/ada", connected=True)
        await delete(database, "users/eve")
        with pytest.raises(Unauthenticated) as caught:
            await ours.message()
        assert caught.value.reason == "TOKEN_REVOKED"
        await delete(database, "users/ada")
        with pytest.raises(Unauthenticated):
            await hers.message()


async def test_a_deleted_user_writes_nothing_more(database: Database, ada: User, eve: User) -> None:
    """A token that is still valid creates no conversation, posts no message, and shows nobody as connected."""
    name = (await ada.create()).name
    for user in ("users/eve", "users/bob"):
        await delete(database, user)
    with pytest.raises(Unauthenticated):
        await eve.post(name, "Am I still here?")
    with pytest.raises(Unauthenticated):
        await eve.create()
    with pytest.raises(Unauthenticated):
        async with eve.chat(name) as chat:
            await chat.next()
    assert (await traces(database, "users/eve")) == {"public.erased_users": 1}


async def test_what_is_written_meanwhile_is_erased_too(database: Database, ada: User, eve: User) -> None:
    """Calls that run while the event is handled are either erased or refused."""
    names = [(await ada.create()).name for _ in range(3)]
    others = (await eve.create()).name
    calls: list[Coroutine[Any, Any, object]] = [
        *(ada.post(name, "Hello") for name in names for _ in range(5)),
        *(ada.create("Another", str(uuid4())) for _ in range(5)),
        delete(database, "users/ada"),
        *(ada.create("Another", str(uuid4())) for _ in range(5)),
        *(ada.post(name, "Hello") for name in names for _ in range(5)),
    ]
    results = await asyncio.gather(*calls, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    assert all(isinstance(failure, NotFound | Unauthenticated) for failure in failures), failures
    assert await traces(database, "users/ada") == {"public.erased_users": 1}
    assert (await eve.get(others)).customer == "users/eve"


async def test_a_call_waits_for_the_erasure_of_its_caller(database: Database, ada: User, eve: User) -> None:
    """It writes nothing after the event was handled, even if it began before that was committed."""
    name = (await ada.create()).name
    async with database.transaction() as tx:
        await Consumers().handlers()[UserDeleted](tx, deletion("users/eve"))
        calls = [asyncio.create_task(eve.create()), asyncio.create_task(eve.post(name, "Am I still here?"))]
        async with database.transaction() as watching:
            while await watching.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") < len(calls):
                assert not any(call.done() for call in calls)
                await asyncio.sleep(0.01)
    for call in calls:
        with pytest.raises(Unauthenticated):
            await call
    assert await traces(database, "users/eve") == {"public.erased_users": 1}


async def test_presence_and_the_erasure_of_its_user_take_turns(database: Database, ada: User) -> None:
    """A user who comes while the event is handled is either erased too, or not written."""
    name = (await ada.create()).name
    conversation, eve = UUID(name.removeprefix("conversations/")), Actor("users/eve", staff=True)
    streams = [OpenStream(uuid4(), conversation, eve) for _ in range(2)]
    async with database.transaction() as tx:
        assert await presence_storage.renew(tx, streams) == [conversation] * 2
        erasure = asyncio.create_task(delete(database, "users/eve"))
        await until_waiting(database, erasure)
    await erasure
    async with database.transaction() as tx:
        await Consumers().handlers()[UserDeleted](tx, deletion("users/eve"))
        writing = asyncio.create_task(renewed(database, streams))
        await until_waiting(database, writing)
    assert await writing == []
    assert await traces(database, "users/eve") == {"public.erased_users": 1}


async def test_a_stream_is_not_renewed_after_the_erasure_of_its_user(database: Database, ada: User) -> None:
    """A replica that renews it while the event is handled does not write it again."""
    name = (await ada.create()).name
    stream = OpenStream(uuid4(), UUID(name.removeprefix("conversations/")), Actor("users/eve", staff=True))
    await renewed(database, [stream])
    async with database.transaction() as tx:
        await Consumers().handlers()[UserDeleted](tx, deletion("users/eve"))
        renewing = asyncio.create_task(renewed(database, [stream]))
        await until_waiting(database, renewing)
    assert await renewing == []
    assert await traces(database, "users/eve") == {"public.erased_users": 1}


async def test_a_stream_that_opens_while_its_conversation_is_erased_is_left_out(
    database: Database, ada: User, bob: User
) -> None:
    """A member of staff opens it, whose other streams are written all the same."""
    uids = [UUID((await user.create()).name.removeprefix("conversations/")) for user in (ada, bob)]
    streams = [OpenStream(uuid4(), uid, Actor("users/eve", staff=True)) for uid in uids]
    async with database.transaction() as tx:
        await Consumers().handlers()[UserDeleted](tx, deletion("users/ada"))
        opening = asyncio.create_task(renewed(database, streams))
        await until_waiting(database, opening)
    assert await opening == uids[1:]
    assert await traces(database, "users/ada") == {"public.erased_users": 1}


async def renewed(database: Database, streams: Sequence[OpenStream]) -> Sequence[UUID]:
    """Renews streams; returns the conversations of new ones."""
    async with database.transaction() as tx:
        return await presence_storage.renew(tx, streams)


async def until_waiting(database: Database, task: "asyncio.Task[Any]") -> None:
    """Waits until a task waits for a lock."""
    async with database.transaction() as watching:
        while await watching.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted") == 0:
            assert not task.done()
            await asyncio.sleep(0.01)


async def test_erasures_do_not_wait_for_each_other_in_a_circle(database: Database, ada: User, eve: User) -> None:
    """A customer's takes the participants of the conversations, a member of staff's the conversations of the
    participant. Both take them in one order.
    """
    names = [(await ada.create()).name for _ in range(2)]
    uids = [UUID(name.removeprefix("conversations/")) for name in names]
    async with database.transaction() as tx:
        for uid in reversed(uids):
            await presence_storage.record_presence(tx, uid, Actor("users/eve", staff=True))
    async with database.transaction() as tx:
        query = "SELECT FROM participants WHERE conversation_uid = $1 AND user_name = 'users/eve' FOR UPDATE"
        await tx.execute(query, uids[0])
        customer = asyncio.create_task(delete(database, "users/ada"))
        await eventually(partial(are_waiting, database, 1))
        staff = asyncio.create_task(delete(database, "users/eve"))
        await eventually(partial(are_waiting, database, 2))
    await asyncio.gather(customer, staff)
    assert await traces(database, "users/ada", "users/eve") == {"public.erased_users": 2}


async def test_an_erasure_and_the_end_of_streams_do_not_wait_in_a_circle(
    database: Database, ada: User, eve: User
) -> None:
    """The stream of a member of staff ends while its conversation is erased: both take streams before participants."""
    name = (await ada.create()).name
    await eve.post(name, "Hello")
    uid = UUID(name.removeprefix("conversations/"))
    stream = OpenStream(uuid4(), uid, Actor("users/eve", staff=True))
    await renewed(database, [stream])
    async with database.transaction() as tx:
        await tx.execute("SELECT FROM messages WHERE conversation_uid = $1 FOR UPDATE", uid)
        erasing = asyncio.create_task(delete(database, "users/ada"))
        await eventually(partial(are_waiting, database, 1))
        ending = asyncio.create_task(ended(database, [stream.uid]))
        await eventually(partial(are_waiting, database, 2))
    await erasing
    assert await ending == []
    assert await traces(database, "users/ada", str(uid)) == {"public.erased_users": 1}


async def ended(database: Database, streams: Sequence[UUID]) -> Sequence[UUID]:
    """Ends streams; returns their conversations."""
    async with database.transaction() as tx:
        return await presence_storage.end(tx, streams)


async def test_streams_that_are_renewed_and_ended_are_locked_in_one_order(database: Database, ada: User) -> None:
    """Otherwise an erasure could wait for them in a circle. They are stored and given in another order here."""
    uid = UUID((await ada.create()).name.removeprefix("conversations/"))
    first, *others, last = (OpenStream(UUID(int=n), uid, Actor("users/eve", staff=True)) for n in range(1, 5))
    streams = [last, *others, first]
    for each in streams:
        await renewed(database, [each])
    for change in (partial(renewed, database, streams), partial(ended, database, [each.uid for each in streams])):
        async with database.transaction() as tx:
            await tx.execute("SELECT FROM open_streams WHERE uid = $1 FOR UPDATE", first.uid)
            changing = asyncio.create_task(change())
            await eventually(partial(are_waiting, database, 1))
            await tx.execute("SELECT FROM open_streams WHERE uid = $1 FOR UPDATE NOWAIT", last.uid)
        await changing


async def test_new_streams_share_conversations_in_the_order_of_erasures(database: Database, ada: User) -> None:
    """The foreign key shares the conversation of each new stream."""
    uids = sorted([UUID((await ada.create()).name.removeprefix("conversations/")) for _ in range(2)])
    streams = [OpenStream(uuid4(), uid, Actor("users/eve", staff=True)) for uid in reversed(uids)]
    async with database.transaction() as tx:
        await tx.execute("SELECT FROM conversations WHERE uid = $1 FOR UPDATE", uids[0])
        renewing = asyncio.create_task(renewed(database, streams))
        await eventually(partial(are_waiting, database, 1))
        await tx.execute("SELECT FROM conversations WHERE uid = $1 FOR UPDATE NOWAIT", uids[1])
    assert sorted(await renewing) == uids


async def test_participants_are_erased_in_parts(
    database: Database, ada: User, eve: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member of staff may have taken part in hundreds of thousands of conversations."""
    monkeypatch.setattr(erased_users, "ERASED_PER_STATEMENT_MAX", 2)
    for _ in range(3):
        await eve.post((await ada.create()).name, "Hello")
    for table in ("participants", "conversations"):
        await limit_statements(database, table, 2)
    for user in ("users/eve", "users/ada"):
        await delete(database, user)
    assert await traces(database, "users/ada", "users/eve") == {"public.erased_users": 2}


async def test_a_participant_seen_meanwhile_is_erased(database: Database, ada: User, eve: User) -> None:
    """The row that another transaction changes has another place when the erasure gets its lock."""
    name = (await ada.create()).name
    await eve.post(name, "Hello")
    async with database.transaction() as tx:
        await tx.execute("UPDATE participants SET last_seen_time = now() WHERE user_name = 'users/eve'")
        erasing = asyncio.create_task(delete(database, "users/eve"))
        await eventually(partial(are_waiting, database, 1))
    await erasing
    assert await traces(database, "users/eve") == {"public.erased_users": 1}


async def test_an_erasure_locks_its_user_before_the_rows_of_others(
    database: Database, broker: Broker, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member of staff who answers a customer waits for the customer's erasure, which waits for no other user."""
    monkeypatch.setattr(inbox, "BATCH_S", 60)  # otherwise a batch often ends before its next event
    uid = UUID((await ada.create()).name.removeprefix("conversations/"))
    async with database.transaction() as tx:
        kind, now = UserDeleted.desc().type_name, datetime.now(UTC)
        users = ["users/ada", "users/eve"]
        payloads = [(user, UserDeleted(user=user).to_binary()) for user in users]
        await inbox_table.store(
            tx, [Envelope(user, kind, "identity", user, now, payload, traceparent=None) for user, payload in payloads]
        )
    async with AsyncExitStack() as stack:
        async with database.transaction() as tx:
            await erasure_storage.ERASED_USERS.lock(tx, "users/eve", shared=True)
            async with database.transaction() as holder:
                await storage.find(holder, uid, lock=True)
                await stack.enter_async_context(Consumers().inbox(database, broker))
                await eventually(partial(are_waiting_for_rows, database, 1))
                answering = asyncio.create_task(storage.find(tx, uid, lock=True))
                await eventually(partial(are_waiting_for_rows, database, 2))
            assert await answering is None
        await eventually(partial(is_erased, database, "users/eve"))


async def are_waiting_for_rows(database: Database, count: int) -> bool:
    """Returns whether this number of transactions waits for rows."""
    query = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND locktype <> 'advisory'"
    async with database.transaction() as tx:
        return bool(await tx.fetchval(query) == count)


async def is_erased(database: Database, user: str) -> bool:
    """Returns whether a user is erased."""
    async with database.transaction() as tx:
        return await erasure_storage.ERASED_USERS.contains(tx, user)


async def test_erased_users_are_forgotten_in_time(database: Database) -> None:
    """Once their tokens and streams have ended, so that the table stays bounded."""
    for number in range(3):
        await delete(database, f"users/{number}")
    async with database.transaction() as tx:
        query = "UPDATE erased_users SET erase_time = erase_time - $1::interval"
        await tx.execute(query, erasure_storage.ERASED_USERS.remembered_for)
    for number in range(3, 5):
        await delete(database, f"users/{number}")
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT user_name FROM erased_users ORDER BY user_name")
    assert [row["user_name"] for row in rows] == ["users/3", "users/4"]
