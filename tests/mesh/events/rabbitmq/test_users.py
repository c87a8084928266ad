"""The permissions of the broker's users: every service against every exchange and queue, on a real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika import ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelClosed
from aiormq.exceptions import ChannelAccessRefused
from protobuf.wkt import FileDescriptorSet

from local.rabbitmq import RabbitMQServer
from mesh.contract.events import Participant, participants
from mesh.events.adapters import provision
from mesh.events.envelope import Envelope
from mesh.events.rabbitmq.connection import open_connection
from mesh.events.rabbitmq.rabbitmq import RabbitMQ
from mesh.events.rabbitmq.topology import REJECTED, REJECTED_ROUTE, route, routes
from mesh.events.rabbitmq.users import PROVISIONER, users
from tests.broker import RABBITMQ_ADMIN
from tests.mesh.events.brokers import received

ROOT = Path(__file__).resolve().parents[4]
CONTRACTS = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes()).to_registry()
SERVICES = participants(CONTRACTS)
BY_NAME = {service.name: service for service in SERVICES}
USERS = [PROVISIONER, *BY_NAME]
EVENTS = sorted(event for service in SERVICES for event in service.publishes)
QUEUES = [*(service.name for service in SERVICES if service.consumes), REJECTED]
ROUTES = [route(service.name, event) for service in SERVICES for event in service.consumes]
EXCHANGES = ["", REJECTED_ROUTE, "amq.fanout", *EVENTS, *map(routes, EVENTS), *ROUTES]

Attempt = Callable[[AbstractChannel], Awaitable[object]]


@pytest.fixture(scope="module")
async def server(server_folder: Path) -> AsyncIterator[RabbitMQServer]:
    """Starts a broker with the users of the contracts, and one for the tests, and provisions it."""
    async with RabbitMQServer(server_folder / "users-rabbitmq", [RABBITMQ_ADMIN, *users(SERVICES)]) as server:
        await provision(server.url(PROVISIONER), SERVICES)
        yield server


async def permitted(connection: AbstractConnection, attempt: Attempt) -> bool:
    """Returns whether RabbitMQ does not refuse an attempt. It may fail in another way."""
    try:
        async with connection.channel() as channel:
            await attempt(channel)
    except ChannelAccessRefused:
        return False
    except ChannelClosed:
        return True
    return True


def publishing(exchange: str) -> Attempt:
    """Returns the attempt to publish to an exchange."""

    async def publish(channel: AbstractChannel) -> None:
        target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        await target.publish(Message(b"attempt"), routing_key="nowhere", mandatory=False)

    return publish


def consuming(queue: str) -> Attempt:
    """Returns the attempt to consume from a queue."""

    async def consume(channel: AbstractChannel) -> None:
        async def ignore(_: object) -> None:
            pass

        await (await channel.get_queue(queue, ensure=False)).consume(ignore)

    return consume


def binding(queue: str, exchange: str) -> Attempt:
    """Returns the attempt to bind a queue to an exchange."""

    async def bind(channel: AbstractChannel) -> None:
        await (await channel.get_queue(queue, ensure=False)).bind(exchange, routing_key="attempt")

    return bind


def deleting(queue: str) -> Attempt:
    """Returns the attempt to delete a queue."""

    async def delete(channel: AbstractChannel) -> None:
        await channel.queue_delete(queue, if_empty=True, if_unused=True)

    return delete


def changes() -> dict[str, Attempt]:
    """Returns the attempts to change what there is."""
    return {
        "declare a queue": lambda channel: channel.declare_queue("attempt", durable=True),
        "declare a private queue": lambda channel: channel.declare_queue(exclusive=True),
        "declare an exchange": lambda channel: channel.declare_exchange("attempt", ExchangeType.TOPIC),
        "delete an exchange": lambda channel: channel.exchange_delete(EVENTS[0]),
        **{f"delete {queue}": deleting(queue) for queue in QUEUES},
        **{f"bind {queue} to {event}": binding(queue, event) for queue in QUEUES for event in EVENTS[:2]},
    }


@pytest.fixture
async def connections(server: RabbitMQServer) -> AsyncIterator[Callable[[str], Awaitable[AbstractConnection]]]:
    """Connects as a user."""
    opened: list[AbstractConnection] = []

    async def connect(user: str) -> AbstractConnection:
        opened.append(await aio_pika.connect(server.url(user)))
        return opened[-1]

    yield connect
    for connection in opened:
        await connection.close()


Connect = Callable[[str], Awaitable[AbstractConnection]]


@pytest.mark.parametrize("user", USERS)
async def test_a_user_publishes_what_is_declared_and_nothing_else(connections: Connect, user: str) -> None:
    """Exchanges of others, those behind the exchange of a type, and the one that leads to any queue are refused."""
    connection = await connections(user)
    allowed = {name for name in EXCHANGES if await permitted(connection, publishing(name))}
    if user == PROVISIONER:  # may write only to exchanges that it binds, never to those of events
        assert allowed == {REJECTED_ROUTE, *map(routes, EVENTS), *ROUTES}
    else:
        assert allowed == set(BY_NAME[user].publishes)


@pytest.mark.parametrize("user", USERS)
async def test_a_user_reads_its_own_queue_only(connections: Connect, user: str) -> None:
    """Queues of others, and rejected messages, are refused."""
    connection = await connections(user)
    allowed = [queue for queue in QUEUES if await permitted(connection, consuming(queue))]
    consumes = user in BY_NAME and BY_NAME[user].consumes
    assert allowed == ([user] if consumes else [])


@pytest.mark.parametrize("user", BY_NAME)
async def test_a_service_can_change_nothing(connections: Connect, user: str) -> None:
    """Services declare, bind and delete neither queues nor exchanges."""
    connection = await connections(user)
    assert [name for name, attempt in changes().items() if await permitted(connection, attempt)] == []


@pytest.mark.parametrize("publisher", [each for each in SERVICES if each.publishes], ids=lambda each: each.name)
async def test_declared_events_are_delivered(server: RabbitMQServer, publisher: Participant) -> None:
    """With the adapter of the services, an event gets from its publisher to each of its consumers."""
    async with RabbitMQ(server.url(publisher.name), publisher.name) as sender:
        for event in publisher.publishes:
            sent = Envelope(f"{event}-1", event, publisher.name, "a/1", datetime.now(UTC), b"", None)
            await sender.publish(sent)
            for consumer in (each.name for each in SERVICES if event in each.consumes):
                async with RabbitMQ(server.url(consumer), consumer) as receiver:
                    subscription = await receiver.subscribe(consumer, [event])
                    found: list[Envelope] = []
                    async with asyncio.timeout(30):
                        while sent not in found:
                            found += [received(each) for each in await subscription.next() if each.attributes]
                            await subscription.ack()
                    await subscription.close()


async def test_a_message_shows_the_exchange_that_it_was_published_to(server: RabbitMQServer) -> None:
    """Neither a routing key, nor headers, nor an author that a publisher claims change the type of an event."""
    consumed = {event for each in SERVICES for event in each.consumes}
    publisher = next(each for each in SERVICES if consumed & set(each.publishes[:1]))
    event = publisher.publishes[0]
    consumer = next(each.name for each in SERVICES if event in each.consumes)
    other = next(name for name in EVENTS if name not in publisher.publishes)
    async with await aio_pika.connect(server.url(publisher.name)) as connection, connection.channel() as channel:
        forged = Message(b"forged", headers={"CC": [consumer], "BCC": [consumer], "cloudEvents_type": other})
        await (await channel.get_exchange(event, ensure=False)).publish(forged, routing_key=other, mandatory=False)
    async with RabbitMQ(server.url(consumer), consumer) as receiver:
        subscription = await receiver.subscribe(consumer, [event])
        deliveries = []
        while batch := await subscription.next():
            deliveries += [delivery for delivery in batch if delivery.payload == b"forged"]
            await subscription.ack()
        await subscription.close()
    assert [delivery.event_type for delivery in deliveries] == [event]


async def test_an_author_that_is_not_the_user_is_refused(connections: Connect) -> None:
    """RabbitMQ compares the property user-id with the user of the connection, as a second line."""
    connection = await connections("orders")
    channel = await connection.channel()
    exchange = await channel.get_exchange(BY_NAME["orders"].publishes[0], ensure=False)
    with pytest.raises(AMQPError):
        await exchange.publish(Message(b"", user_id="identity"), routing_key="", mandatory=False)


@pytest.mark.parametrize("other", [name for name in USERS if name != "identity"])
async def test_nobody_connects_as_another(server: RabbitMQServer, other: str) -> None:
    """Connecting with another user's password, or without one, is rejected."""
    own, foreign = urlsplit(server.url("identity")), urlsplit(server.url(other))
    for password in (foreign.password, ""):
        with pytest.raises(AMQPError):
            await open_connection(f"amqp://identity:{password}@127.0.0.1:{own.port}/", "identity")
