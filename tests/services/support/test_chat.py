"""Chats over real channels, at one replica and at several."""

import asyncio
import contextlib
from dataclasses import replace
from functools import partial

import pytest
from meshwright.support.v1.support_grpc import SupportServiceClient
from meshwright.support.v1.support_pb import ChatMessage, Conversation, PostResult

from mesh.database import Database
from mesh.errors import Aborted, InvalidArgument, ResourceExhausted, Unavailable
from services.support import posting
from services.support.domain import CUSTOMER_STREAMS_MAX, uid_of
from services.support.storage import READ_MAX
from tests.issuer import Issuer
from tests.services.calls import channel_to
from tests.services.support.replica import Replica, User
from tests.services.support.waiting import are_waiting, eventually, waiting_count

REQUEST_ID = "7d444840-9dc0-11d1-b245-5ffdce74fad2"


async def test_both_sides_receive_what_is_posted(ada: User, eve: User) -> None:
    """Each post has a result, and arrives at everybody in the same order."""
    name = (await ada.create()).name
    async with ada.chat(name) as hers, eve.chat(name) as ours:
        request_id = hers.post("My saw is blunt")
        assert await ours.texts(1) == ["My saw is blunt"]
        ours.post("Which one?")
        messages: list[ChatMessage] = []
        results: list[PostResult] = []
        while len(messages) < 2 or not results:
            match await hers.next():
                case ChatMessage() as message:
                    messages.append(message)
                case PostResult() as result:
                    results.append(result)
        assert [(message.text, message.sender, message.from_staff) for message in messages] == [
            ("My saw is blunt", "users/ada", False),
            ("Which one?", "users/eve", True),
        ]
        assert messages[0].request_id == request_id
        [result] = results
        assert result.request_id == request_id
        assert result.result is not None
        assert result.result.value == messages[0].name
        assert await ours.texts(1) == ["Which one?"]


async def test_a_stream_begins_with_the_state_and_the_whole_history(ada: User) -> None:
    """Without a token a stream begins with a history of several pages; with a token of the list it continues there."""
    name = (await ada.create()).name
    texts = [f"Text {number}" for number in range(6 * READ_MAX + 1)]
    for text in texts:
        await ada.post(name, text)
    listed = await ada.page(name, size=1)
    async with ada.watch(name) as everything, ada.watch(name, listed.resume_token) as later:
        assert isinstance(await everything.next(), Conversation)
        assert await everything.texts(len(texts)) == texts
        await ada.post(name, "Later")
        assert await everything.texts(1) == await later.texts(1) == ["Later"]


async def test_a_message_crosses_replicas(issuer: Issuer, database: Database, replica: Replica, ada: User) -> None:
    """Streams at one replica receive messages that are posted at another, by a call or a stream."""
    async with Replica.running(issuer, database) as other:
        eve, name = other.user("users/eve", staff=True), (await ada.create()).name
        async with ada.chat(name) as hers, eve.chat(name) as ours:
            await eve.post(name, "By a call")
            assert await hers.texts(1) == ["By a call"]
            ours.post("By a stream")
            hers.post("Back")
            assert sorted(await hers.texts(2)) == ["Back", "By a stream"]
            assert len(await ours.texts(3)) == 3


async def test_all_receive_the_same_order(issuer: Issuer, database: Database, ada: User) -> None:
    """Concurrent posts at two replicas arrive everywhere in the order of their numbers, without gaps."""
    async with Replica.running(issuer, database) as other:
        eve, name = other.user("users/eve", staff=True), (await ada.create()).name
        async with ada.chat(name) as hers, eve.chat(name) as ours:
            for number in range(40):
                hers.post(f"hers {number}")
                ours.post(f"ours {number}")
            at_ada = [await hers.message() for _ in range(80)]
            at_eve = [await ours.message() for _ in range(80)]
    assert at_ada == at_eve
    assert [message.name for message in at_ada] == [f"{name}/messages/{number}" for number in range(1, 81)]
    for who in ("hers", "ours"):
        own = [message.text for message in at_ada if message.text.startswith(who)]
        assert own == [f"{who} {number}" for number in range(40)]


async def test_a_broken_chat_resumes_at_another_replica(issuer: Issuer, database: Database, ada: User) -> None:
    """After the token comes what was posted since, once; a post that is repeated is posted once."""
    async with Replica.running(issuer, database) as other:
        elsewhere, name = other.user("users/ada"), (await ada.create()).name
        async with ada.chat(name) as chat:
            await ada.post(name, "Received")
            assert await chat.texts(1) == ["Received"]
            lost = chat.post("Posted, but not heard of")
            while len((await ada.page(name)).messages) < 2:
                await asyncio.sleep(0.01)
        await ada.post(name, "Missed")
        async with elsewhere.chat(name, chat.resume_token) as resumed:
            resumed.post("Posted, but not heard of", lost)
            resumed.post("After all")
            assert await resumed.texts(3) == ["Posted, but not heard of", "Missed", "After all"]
    assert len((await ada.page(name)).messages) == 4


async def test_a_rejected_post_does_not_end_the_chat(ada: User, eve: User) -> None:
    """Its result has the error; later posts succeed."""
    name = (await ada.create()).name
    async with ada.chat(name) as chat:
        rejected = [chat.post(" ")]
        assert await chat.state() == Conversation.State.OPEN
        errors = [await chat.result()]
        await eve.close(name)
        assert await chat.state() == Conversation.State.CLOSED
        rejected.append(chat.post("Too late"))
        errors.append(await chat.result())
        await eve.reopen(name)
        assert await chat.state() == Conversation.State.OPEN
        chat.post("In time")
        assert await chat.texts(1) == ["In time"]
    assert [error.request_id for error in errors] == rejected
    assert [error.result.value.message for error in errors if error.result and error.result.field == "error"] == [
        "post.text: must be given",
        "The conversation is closed. Reopen it, or create another one.",
    ]


@pytest.mark.parametrize(("text", "request_id"), [("x" * 4001, REQUEST_ID), ("Hello", "seven"), ("x" * 1_000_000, "")])
async def test_a_post_that_violates_the_contract_ends_the_chat(ada: User, text: str, request_id: str) -> None:
    """The error names the request, and what was posted before stays."""
    name = (await ada.create()).name
    async with ada.chat(name) as chat:
        chat.post("Fine")
        await chat.result()
        chat.post(text, request_id)
        with pytest.raises(InvalidArgument) as caught:
            await chat.texts(2)
    assert caught.value.message.startswith("[2]")
    assert [message.text for message in (await ada.page(name)).messages] == ["Fine"]


async def test_a_chat_needs_a_conversation(ada: User) -> None:
    """The first request names it."""
    with pytest.raises(InvalidArgument) as caught:
        async with ada.chat("") as chat:
            await chat.next()
    assert [violation.field for violation in caught.value.violations] == ["name"]


async def test_a_token_of_another_conversation_is_refused(ada: User) -> None:
    """The error names the field."""
    first, second = (await ada.create()).name, (await ada.create()).name
    token = (await ada.page(first)).resume_token
    with pytest.raises(InvalidArgument) as caught:
        async with ada.chat(second, token) as chat:
            await chat.next()
    assert [violation.field for violation in caught.value.violations] == ["resume_token"]


async def test_a_chat_continues_after_the_last_request(ada: User, eve: User) -> None:
    """A client that only listens may end its requests."""
    name = (await ada.create()).name
    async with ada.chat(name) as chat:
        chat.post("Hello?")
        chat.end()
        assert await chat.texts(1) == ["Hello?"]
        await eve.post(name, "Yes")
        assert await chat.texts(1) == ["Yes"]


async def test_a_request_without_a_post_has_no_effect(ada: User) -> None:
    """It keeps an idle connection open, and is not answered."""
    name = (await ada.create()).name
    async with ada.chat(name) as chat:
        await chat.participant("users/ada", connected=True)
        chat.ping()
        chat.post("Hello")
        assert {type(await chat.next()) for _ in range(2)} == {ChatMessage, PostResult}


async def test_open_streams_are_limited(ada: User, bob: User) -> None:
    """The limit counts the open streams of a user over all conversations."""
    name, another = (await ada.create()).name, (await bob.create()).name
    chats = [ada.chat(name) for _ in range(CUSTOMER_STREAMS_MAX)]
    for chat in chats:
        await (await chat.__aenter__()).next()
    with pytest.raises(ResourceExhausted) as caught:
        async with ada.watch(name) as one_more:
            await one_more.next()
    assert caught.value.reason == "TOO_MANY_CHATS"
    async with bob.watch(another) as of_others:
        await of_others.next()
    for chat in chats:
        await chat.__aexit__(None, None, None)
    while True:
        try:
            async with ada.watch(name) as after:
                assert isinstance(await after.next(), Conversation)
                break
        except ResourceExhausted:
            await asyncio.sleep(0.01)


async def test_a_client_that_reads_nothing_harms_nobody(ada: User, eve: User) -> None:
    """Its posts wait once nobody takes their results, while others post and receive."""
    name = (await ada.create()).name
    async with ada.chat(name), eve.chat(name) as ours:
        for number in range(50):
            await eve.post(name, f"{number} {'x' * 3900}")
        assert [text.split()[0] for text in await ours.texts(50)] == [str(number) for number in range(50)]


async def test_a_conversation_that_is_locked_keeps_no_connections(
    database: Database, ada: User, bob: User, eve: User
) -> None:
    """Its posts wait, as while a replica is frozen; other conversations go on, by calls and streams."""
    name, other = (await ada.create()).name, (await bob.create()).name
    count = 2 * database.connections_max
    async with contextlib.AsyncExitStack() as stack:
        chats = [await stack.enter_async_context(eve.chat(name)) for _ in range(count)]
        his = await stack.enter_async_context(bob.chat(other))
        async with database.transaction() as tx:
            await tx.execute("SELECT FROM conversations WHERE uid = $1 FOR NO KEY UPDATE", uid_of(name))
            for number, chat in enumerate(chats):
                chat.post(f"{number}")
            calls = [asyncio.create_task(ada.post(name, "Hello")) for _ in range(count)]
            await eventually(partial(are_waiting, database, 1))
            posted = his.post("Hi")
            assert (await his.result()).request_id == posted
            assert (await bob.get(other)).message_count == 1
            assert await waiting_count(database) <= 1
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_post_waits_a_limited_time_for_its_turn(
    database: Database, ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can be repeated."""
    monkeypatch.setattr(posting, "TURN_TIMEOUT_S", 0.05)
    name = (await ada.create()).name
    async with database.transaction() as tx:
        await tx.execute("SELECT FROM conversations WHERE uid = $1 FOR NO KEY UPDATE", uid_of(name))
        first = asyncio.create_task(ada.post(name, "Hello"))
        await eventually(partial(are_waiting, database, 1))
        with pytest.raises(Aborted) as caught:
            await ada.post(name, "Hello?", REQUEST_ID)
    assert (caught.value.reason, caught.value.retry_after_s) == ("CONCURRENT_CHANGE", 1)
    await asyncio.gather(first, return_exceptions=True)
    await ada.post(name, "Hello?", REQUEST_ID)


async def test_a_post_of_a_stream_waits_for_its_turn(
    database: Database, ada: User, eve: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made however long others take: its stream waits meanwhile."""
    monkeypatch.setattr(posting, "TURN_TIMEOUT_S", 0.05)
    name = (await ada.create()).name
    async with eve.chat(name) as hers:
        assert isinstance(await hers.next(), Conversation)
        async with database.transaction() as tx:
            await tx.execute("SELECT FROM conversations WHERE uid = $1 FOR NO KEY UPDATE", uid_of(name))
            first = asyncio.create_task(ada.post(name, "Hello"))
            await eventually(partial(are_waiting, database, 1))
            hers.post("Hello?")
            await asyncio.sleep(0.2)
        result = (await hers.result()).result
        assert result is not None
        assert result.field == "message"
        await asyncio.gather(first, return_exceptions=True)


async def test_a_stopping_server_ends_streams_so_that_clients_resume(issuer: Issuer, database: Database) -> None:
    """The status is UNAVAILABLE with a delay, and the users are shown as gone at once."""
    async with Replica.running(issuer, database) as other, contextlib.AsyncExitStack() as stack:
        async with Replica.running(issuer, database) as stopping:
            channel = await stack.enter_async_context(channel_to(stopping.port, "support"))
            ada = replace(stopping.user("users/ada"), client=SupportServiceClient(channel))
            name = (await ada.create()).name
            chat = await stack.enter_async_context(ada.chat(name))
            await chat.participant("users/ada", connected=True)
        with pytest.raises(Unavailable) as caught:
            await chat.next()
        assert (caught.value.reason, caught.value.retry_after_s) == ("STREAM_DRAINED", 1)
        assert not (await other.user("users/ada").participants(name))["users/ada"].connected
