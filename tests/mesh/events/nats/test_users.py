"""The permissions of the broker's users: every service against every subject, on a real NATS."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import nats
import pytest
from nats.js import JetStreamContext
from protobuf.wkt import FileDescriptorSet

from local.nats import Nats
from mesh.contract.events import Participant, participants
from mesh.events.adapters import provision
from mesh.events.envelope import Envelope, UnauthenticEvent
from mesh.events.nats.jetstream import JetStream
from mesh.events.nats.stream import STREAM
from mesh.events.nats.users import PROVISIONER, inbox_prefix, users
from tests.broker import ADMIN
from tests.mesh.events.brokers import received

ROOT = Path(__file__).resolve().parents[4]
CONTRACTS = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes()).to_registry()
SERVICES = participants(CONTRACTS)
NAMES = [service.name for service in SERVICES]
EVENTS = sorted(event for service in SERVICES for event in service.publishes)
USERS = [PROVISIONER, *NAMES]
DELETED = "meshwright.identity.v1.UserDeleted"

# https://docs.nats.io/reference/reference-protocols/nats_api_reference
STREAM_ACTIONS = (
    *("CREATE", "UPDATE", "INFO", "DELETE", "PURGE", "SNAPSHOT", "RESTORE", "MSG.GET", "MSG.DELETE"),
    *("LEADER.STEPDOWN", "PEER.REMOVE"),
)
CONSUMER_ACTIONS = (
    *("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT", "PAUSE", "RESET", "UNPIN", "LEADER.STEPDOWN"),
)
OTHER_REQUESTS = (
    *("$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.CREATE.ANOTHER"),
    *(f"$JS.API.CONSUMER.NAMES.{STREAM}", f"$JS.API.CONSUMER.LIST.{STREAM}", f"$JS.API.CONSUMER.CREATE.{STREAM}"),
    *(f"$JS.API.DIRECT.GET.{STREAM}", f"$JS.API.DIRECT.GET.{STREAM}.{DELETED}"),
    *("$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PING", "meshwright.nobody.v1.Event", "elsewhere"),
)
WIDE = (">", "meshwright.>", "meshwright.*.*.*", "_INBOX.>", "$JS.>", "$JS.EVENT.ADVISORY.>", "$SYS.>", "elsewhere")


def requests() -> Iterator[str]:
    """Returns every subject that a client might publish to."""
    yield from EVENTS
    yield from (f"$JS.API.STREAM.{action}.{STREAM}" for action in STREAM_ACTIONS)
    for consumer in NAMES:
        yield from (f"$JS.API.CONSUMER.{action}.{STREAM}.{consumer}" for action in CONSUMER_ACTIONS)
        yield f"$JS.API.CONSUMER.CREATE.{STREAM}.{consumer}.{DELETED}"
        yield f"$JS.ACK.{STREAM}.{consumer}.1.1.1.{datetime.now(UTC).timestamp():.0f}000000000.0"
        yield f"{inbox_prefix(consumer)}.1"
    yield from OTHER_REQUESTS


def subscriptions() -> Iterator[str]:
    """Returns every subject that a client might subscribe to."""
    yield from EVENTS
    yield from (f"{inbox_prefix(user)}.>" for user in USERS)
    yield from WIDE


def may_publish(user: str, subject: str) -> bool:
    """Returns whether the contracts allow this user to publish there."""
    if user == PROVISIONER:
        making = ("STREAM.CREATE", "STREAM.UPDATE", "STREAM.INFO", "CONSUMER.CREATE", "CONSUMER.INFO")
        return subject.startswith(tuple(f"$JS.API.{action}.{STREAM}" for action in making)) and not subject.endswith(
            f"CONSUMER.CREATE.{STREAM}"
        )
    service = next(each for each in SERVICES if each.name == user)
    consumer = f"{STREAM}.{user}"
    own = (f"$JS.API.CONSUMER.INFO.{consumer}", f"$JS.API.CONSUMER.MSG.NEXT.{consumer}", f"$JS.ACK.{consumer}.")
    return subject in service.publishes or (bool(service.consumes) and subject.startswith(own))


@pytest.fixture(scope="module")
async def server(server_folder: Path) -> AsyncIterator[Nats]:
    """Starts a broker with the users of the contracts, and one for the tests, and provisions it."""
    async with Nats(server_folder / "users-nats", [ADMIN, *users(SERVICES)]) as server:
        await provision(server.url(PROVISIONER), SERVICES)
        yield server


class Connection:
    """A connection that speaks NATS's own protocol, in which the rejection of a command precedes the reply to the next
    PING.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def authenticate(self, user: str, password: str) -> str:
        """Connects as this user; returns the error, or nothing."""
        assert (await self._reader.readline()).startswith(b"INFO ")
        return await self.send(f"CONNECT {json.dumps({'verbose': False, 'user': user, 'pass': password})}\r\n")

    async def publish(self, subject: str, reply: str) -> str:
        """Publishes a body that can't be carried out as a request; returns the error, or nothing."""
        return await self.send(f"PUB {subject} {reply} 8\r\nnot JSON\r\n")

    async def subscribe(self, subject: str) -> str:
        """Subscribes for a moment; returns the error, or nothing."""
        return await self.send(f"SUB {subject} 1\r\nUNSUB 1\r\n")

    async def send(self, command: str) -> str:
        """Sends a command; returns the broker's error, or nothing."""
        self._writer.write(f"{command}PING\r\n".encode())
        refusal = ""
        while (line := await self._reader.readline()) not in (b"PONG\r\n", b""):
            refusal += line.decode() if line.startswith(b"-ERR") else ""
        return refusal


@asynccontextmanager
async def connection(server: Nats) -> AsyncIterator[Connection]:
    """Opens a connection that is not authenticated yet."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Connection(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def connected(server: Nats, user: str) -> AsyncIterator[Connection]:
    """Opens a connection as this user, with its password."""
    async with connection(server) as opened:
        assert await opened.authenticate(user, password_of(server, user)) == ""
        yield opened


def password_of(server: Nats, user: str) -> str:
    """Returns the password in the URL of this user."""
    return urlsplit(server.url(user)).password or ""


@asynccontextmanager
async def admin(server: Nats) -> AsyncIterator[JetStreamContext]:
    """Connects as the user with all permissions."""
    client = await nats.connect(server.url(ADMIN.name))
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def facts(server: Nats) -> tuple[object, ...]:
    """Returns the configuration of the stream and its consumers."""
    async with admin(server) as context:
        stream = await context.stream_info(STREAM)
        consumers = await context.consumers_info(STREAM)
        return stream.config, stream.created, [(each.name, each.config, each.created) for each in consumers]


@pytest.mark.parametrize("user", USERS)
async def test_a_user_publishes_what_is_declared_and_nothing_else(server: Nats, user: str) -> None:
    """Events of others, their consumers, and requests that change or read the stream are rejected."""
    before = await facts(server)
    async with connected(server, user) as client:
        refusals = {subject: await client.publish(subject, f"{inbox_prefix(user)}.1") for subject in requests()}
    assert {subject for subject, refusal in refusals.items() if not refusal} == {
        subject for subject in refusals if may_publish(user, subject)
    }
    assert all("Permissions Violation" in refusal for refusal in refusals.values() if refusal)
    assert await facts(server) == before


@pytest.mark.parametrize("user", USERS)
async def test_a_user_listens_at_its_own_inbox_only(server: Nats, user: str) -> None:
    """Subscriptions to events, inboxes of others and advisories are rejected."""
    async with connected(server, user) as client:
        refusals = {subject: await client.subscribe(subject) for subject in subscriptions()}
    assert [subject for subject, refusal in refusals.items() if not refusal] == [f"{inbox_prefix(user)}.>"]


@pytest.mark.parametrize("publisher", [each for each in SERVICES if each.publishes], ids=lambda each: each.name)
async def test_declared_events_are_delivered(server: Nats, publisher: Participant) -> None:
    """With the adapter of the services, an event gets from its publisher to each of its consumers."""
    async with JetStream(server.url(publisher.name), publisher.name) as sender:
        for event in publisher.publishes:
            sent = Envelope(f"{event}-1", event, publisher.name, "a/1", datetime.now(UTC), b"", None)
            await sender.publish(sent)
            for consumer in (each.name for each in SERVICES if event in each.consumes):
                async with JetStream(server.url(consumer), consumer) as receiver:
                    assert await received_by(receiver, consumer, event, sent.id) == sent


@pytest.mark.parametrize("request_subject", ["meshwright.orders.v1.OrderPlaced", "meshwright.orders.v1.Anything"])
async def test_a_reply_to_a_foreign_subject_is_no_event(server: Nats, request_subject: str) -> None:
    """NATS's own acknowledgement can be directed to a subject of another service; its consumer rejects it."""
    async with connected(server, "orders") as client, admin(server) as context:
        before = (await context.stream_info(STREAM)).state.last_seq
        assert await client.publish(request_subject, reply=DELETED) == ""
        async with asyncio.timeout(30):
            while (await context.stream_info(STREAM)).state.last_seq < before + 2:
                await asyncio.sleep(0.02)
        forged = await context.get_last_msg(STREAM, DELETED)
        assert (forged.data or b"").startswith(b'{"stream":'), "else this test proves nothing"
    async with JetStream(server.url("identity"), "identity") as identity:
        sent = Envelope(f"after-{request_subject}", DELETED, "identity", "users/1", datetime.now(UTC), b"", None)
        await identity.publish(sent)
    async with JetStream(server.url("notifications"), "notifications") as notifications:
        assert await received_by(notifications, "notifications", DELETED, sent.id) == sent


async def received_by(broker: JetStream, name: str, event_type: str, event_id: str) -> Envelope:
    """Returns the event with this id as its consumer receives it; rejects unauthentic ones as the inbox does."""
    subscription = await broker.subscribe(name, [event_type])
    async with asyncio.timeout(30):
        while True:
            for delivery in await subscription.next(1):
                try:
                    envelope = received(delivery)
                except UnauthenticEvent:
                    await delivery.reject()
                    continue
                await subscription.ack()
                if envelope.id == event_id:
                    await subscription.close()
                    return envelope


@pytest.mark.parametrize("other", [name for name in USERS if name != "identity"])
async def test_nobody_connects_as_another(server: Nats, other: str) -> None:
    """Connecting with another user's password, or without one, is rejected."""
    for password in (password_of(server, other), ""):
        async with connection(server) as client:
            assert "Authorization Violation" in await client.authenticate("identity", password)
