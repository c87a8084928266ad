"""The unary methods of SupportService over a real channel, with a real PostgreSQL."""

import asyncio
from uuid import uuid4

import pytest
from meshwright.support.v1.events_pb import MessagePosted
from meshwright.support.v1.support_pb import Conversation

from mesh.database import Database
from mesh.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
)
from mesh.position import encode, fingerprint
from services.support.domain import MESSAGES_MAX, OPEN_CONVERSATIONS_MAX
from tests.services.support.replica import Replica, User


def violations(error: MeshError) -> list[tuple[str, str]]:
    """Returns the fields and reasons of an error."""
    return [(violation.field, violation.reason) for violation in error.violations]


async def test_a_conversation_is_read_as_it_was_created(ada: User, eve: User) -> None:
    """The response has what the service decides; the customer and staff find it."""
    created = await ada.create("A blunt saw")
    assert (created.name, created.customer, created.subject) == (
        f"conversations/{created.uid}",
        "users/ada",
        "A blunt saw",
    )
    assert (created.state, created.message_count, created.etag) == (Conversation.State.OPEN, 0, "1")
    assert await ada.get(created.name) == await eve.get(created.name) == created


async def test_a_customer_sees_nothing_of_others(ada: User, bob: User, replica: Replica) -> None:
    """Every method answers as if the conversation did not exist, and a token without the scope is refused."""
    name = (await ada.create()).name
    for attempt in (
        bob.get(name),
        bob.close(name),
        bob.reopen(name),
        bob.post(name, "Hello"),
        bob.page(name),
        bob.participants(name),
        bob.get(f"conversations/{uuid4()}"),
        bob.get("conversations/7"),
    ):
        with pytest.raises(NotFound) as caught:
            await attempt
        assert (caught.value.message, caught.value.reason) == (
            "The conversation does not exist.",
            "CONVERSATION_NOT_FOUND",
        )
    for stream in (bob.chat(name), bob.watch(name)):
        with pytest.raises(NotFound):
            async with stream as opened:
                await opened.next()
    assert await bob.names() == []
    assert await ada.participants(name) == {}
    with pytest.raises(PermissionDenied):
        await replica.user("users/ada", scopes="profile").get(name)


async def test_lists_are_paged_by_customer_and_state(ada: User, bob: User, eve: User) -> None:
    """Customers list their own conversations and staff all, newest first, in one state or in any."""
    names = [(await user.create()).name for user in (ada, bob, ada, ada)]
    await ada.close(names[2])
    assert await eve.names(size=1) == names[::-1]
    assert await ada.names(size=2) == [names[3], names[2], names[0]]
    assert await ada.names(size=1, state=Conversation.State.OPEN) == [names[3], names[0]]
    assert await eve.names(size=1, state=Conversation.State.CLOSED) == [names[2]]


@pytest.mark.parametrize("subject", ["", " ", "two\nlines", "\0", "x" * 201])
async def test_a_wrong_subject_is_refused(ada: User, subject: str) -> None:
    """The error names the field."""
    with pytest.raises(InvalidArgument) as caught:
        await ada.create(subject)
    assert [field for field, _ in violations(caught.value)] == ["conversation.subject"]


async def test_a_repeated_creation_creates_nothing_more(ada: User) -> None:
    """The same request_id gives the first response again."""
    request_id = str(uuid4())
    assert await ada.create(request_id=request_id) == await ada.create(request_id=request_id)
    assert len(await ada.names()) == 1


async def test_open_conversations_are_limited(ada: User, bob: User) -> None:
    """Closed ones and those of others do not count."""
    names = [(await ada.create()).name for _ in range(OPEN_CONVERSATIONS_MAX)]
    with pytest.raises(ResourceExhausted) as caught:
        await ada.create()
    assert caught.value.reason == "TOO_MANY_CONVERSATIONS"
    await bob.create()
    await ada.close(names[0])
    await ada.create()
    with pytest.raises(ResourceExhausted):
        await ada.reopen(names[0])


async def test_conversations_that_are_reopened_at_once_are_limited(ada: User) -> None:
    """They count each other."""
    names = [(await ada.create()).name for _ in range(OPEN_CONVERSATIONS_MAX)]
    for name in names[:10]:
        await ada.close(name)
    for _ in range(9):
        await ada.create()
    results = await asyncio.gather(*(ada.reopen(name) for name in names[:10]), return_exceptions=True)
    assert sum(isinstance(each, ResourceExhausted) for each in results) == 9
    assert sum(isinstance(each, Conversation) for each in results) == 1


async def test_a_closed_conversation_takes_no_messages(ada: User, eve: User) -> None:
    """Both sides can close and reopen it, and its history stays."""
    name = (await ada.create()).name
    await ada.post(name, "Hello")
    closed = await eve.close(name)
    assert (closed.state, closed.etag) == (Conversation.State.CLOSED, "3")
    assert await ada.close(name, "1") == closed
    with pytest.raises(FailedPrecondition) as caught:
        await ada.post(name, "One more thing")
    assert caught.value.reason == "CONVERSATION_CLOSED"
    assert [message.text for message in (await ada.page(name)).messages] == ["Hello"]
    assert (await ada.reopen(name, "3")).state == Conversation.State.OPEN
    await ada.post(name, "One more thing")


async def test_nobody_closes_what_they_have_not_read(ada: User, eve: User) -> None:
    """A message makes the etag stale."""
    created = await ada.create()
    await ada.post(created.name, "Wait")
    with pytest.raises(Aborted) as caught:
        await eve.close(created.name, created.etag)
    assert caught.value.metadata == {"etag": "2"}


async def test_messages_are_numbered_and_paged(ada: User, eve: User) -> None:
    """Names have the numbers 1, 2, 3, …; pages have the newest message first."""
    name = (await ada.create()).name
    posted = [await user.post(name, f"Text {n}\nLine\tTwo") for n, user in enumerate((ada, eve, ada, ada, eve))]
    assert [message.name for message in posted] == [f"{name}/messages/{n}" for n in range(1, 6)]
    assert [(message.sender, message.from_staff) for message in posted[:2]] == [
        ("users/ada", False),
        ("users/eve", True),
    ]
    first = await ada.page(name, size=2)
    second = await ada.page(name, size=3, token=first.next_page_token)
    assert ([*first.messages, *second.messages], second.next_page_token) == (posted[::-1], "")
    assert (await ada.get(name)).message_count == 5


async def test_positions_beyond_all_messages(ada: User) -> None:
    """A forged token only selects another position, whatever number it has."""
    conversation = await ada.create()
    posted = await ada.post(conversation.name, "Hello")
    page = encode(fingerprint([conversation.uid]), (2**40,))
    assert (await ada.page(conversation.name, token=page)).messages == [posted]
    stream = encode(fingerprint(["conversation", conversation.uid]), (2**40,))
    async with ada.watch(conversation.name, stream) as watched:
        assert await watched.next() == await ada.get(conversation.name)


@pytest.mark.parametrize("text", ["", " \n", "bell\a", "nul\0", "x" * 4001, "x" * 1_000_000])
async def test_a_wrong_text_is_refused(ada: User, text: str) -> None:
    """Nothing is posted."""
    name = (await ada.create()).name
    with pytest.raises(InvalidArgument) as caught:
        await ada.post(name, text)
    assert [field for field, _ in violations(caught.value)] == ["message.text"] or len(text) > 65_536
    assert (await ada.page(name)).messages == []


async def test_a_repeated_post_posts_nothing_more(ada: User, eve: User) -> None:
    """The same request_id gives the same message, also after the conversation was closed; with another text it is
    refused. Others may use the same one.
    """
    name, request_id = (await ada.create()).name, str(uuid4())
    posted = await ada.post(name, "Hello", request_id)
    assert posted.request_id == request_id
    assert (await eve.post(name, "Hello", request_id)).name == f"{name}/messages/2"
    await eve.close(name)
    assert await ada.post(name, "Hello", request_id) == posted
    with pytest.raises(InvalidArgument) as caught:
        await ada.post(name, "Good-bye", request_id)
    assert violations(caught.value) == [("request_id", "REQUEST_ID_REUSED")]


async def test_a_full_conversation_takes_no_messages(ada: User, database: Database) -> None:
    """The number of its messages is limited."""
    name = (await ada.create()).name
    async with database.transaction() as tx:
        await tx.execute("UPDATE conversations SET message_count = $1", MESSAGES_MAX - 1)
    await ada.post(name, "The last one")
    with pytest.raises(ResourceExhausted) as caught:
        await ada.post(name, "One too many")
    assert caught.value.reason == "CONVERSATION_FULL"


async def test_each_message_is_published_without_its_text(ada: User, eve: User, database: Database) -> None:
    """Events have the order of the messages; a repeated post publishes nothing."""
    name, request_id = (await ada.create()).name, str(uuid4())
    posted = [await ada.post(name, "Hello", request_id), await eve.post(name, "Hello yourself")]
    await ada.post(name, "Hello", request_id)
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT source, aggregate, payload FROM mesh.outbox ORDER BY id")
    assert {(row["source"], row["aggregate"]) for row in rows} == {("support", name)}
    assert [MessagePosted.from_binary(row["payload"]) for row in rows] == [
        MessagePosted(
            message=message.name,
            conversation=name,
            customer="users/ada",
            sender=message.sender,
            from_staff=message.from_staff,
            post_time=message.create_time,
        )
        for message in posted
    ]
