"""Servers of brokers, one class for each adapter, with the operations that tests need beside the adapter."""

import abc
import contextlib
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final
from uuid import uuid4

import aio_pika
import nats
from aio_pika.abc import AbstractChannel
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from local.nats import Nats
from local.rabbitmq import RabbitMQServer as RabbitMQNode
from mesh.errors import Unavailable
from mesh.events import Broker, connect
from mesh.events.broker import Delivery
from mesh.events.envelope import Envelope
from mesh.events.nats.cloud_events import to_headers
from mesh.events.nats.provision import provision
from mesh.events.nats.stream import STREAM
from mesh.events.rabbitmq import provision as rabbitmq
from mesh.events.rabbitmq.cloud_events import to_headers as to_amqp_headers
from mesh.events.rabbitmq.provision import QUEUE_SETTLE_S
from mesh.events.rabbitmq.topology import REJECTED, REJECTED_ROUTE, route, routes
from tests.broker import ADMIN, RABBITMQ_ADMIN
from tests.mesh.messages import Note, Other, Sale

TYPES: Final = (Note.desc().type_name, Other.desc().type_name, Sale.desc().type_name)


def received(delivery: Delivery) -> Envelope:
    """Returns the event of a delivery."""
    return Envelope.received(
        delivery.attributes, delivery.payload, message_id=delivery.message_id, event_type=delivery.event_type
    )


class BrokerServer(abc.ABC):
    """A server of one kind, with one user who has all permissions."""

    @abc.abstractmethod
    def __init__(self, folder: Path) -> None:
        """Prepares a server whose data is in this folder."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Returns the URL for connect()."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Starts the server with its existing data."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stops the server gracefully."""

    @abc.abstractmethod
    async def kill(self) -> None:
        """Kills the server with SIGKILL."""

    @abc.abstractmethod
    async def provision(self, subscriptions: Mapping[str, Sequence[str]]) -> None:
        """Creates the stream, and these subscriptions with their types."""

    @abc.abstractmethod
    async def lose_everything(self) -> None:
        """Kills the server, and starts it again without its data."""

    @abc.abstractmethod
    async def clear(self) -> None:
        """Deletes all events and subscriptions of a running server."""

    async def empty(self, subscriptions: Mapping[str, Sequence[str]]) -> None:
        """Brings a server that tests share to a fresh state with these subscriptions."""
        await self.clear()
        await self.provision(subscriptions)

    @abc.abstractmethod
    async def publish(self, event_type: str, payload: bytes, attributes: Mapping[str, str]) -> str:
        """Publishes a message with any attributes, as a publisher that bypasses the adapter could. Returns the
        identifier that its deliveries have.
        """

    @abc.abstractmethod
    async def rejected(self) -> list[bytes]:
        """Returns the payloads of messages that an operator finds after they were rejected, the oldest first."""

    def connect(self, service: str = "test") -> AbstractAsyncContextManager[Broker]:
        """Returns the adapter's connection for a service."""
        return connect(self.url, service)


class NatsServer(BrokerServer):
    """NATS with JetStream."""

    def __init__(self, folder: Path) -> None:
        self._server = Nats(folder, [ADMIN])

    @property
    def url(self) -> str:
        return self._server.url(ADMIN.name)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def kill(self) -> None:
        await self._server.kill()

    async def provision(self, subscriptions: Mapping[str, Sequence[str]]) -> None:
        await provision(self.url, TYPES, subscriptions)

    async def lose_everything(self) -> None:
        await self.kill()
        shutil.rmtree(self._server.folder / "streams")
        await self.start()

    async def clear(self) -> None:
        async with self._client() as client:
            with contextlib.suppress(NotFoundError):
                await client.jetstream().delete_stream(STREAM)

    async def publish(self, event_type: str, payload: bytes, attributes: Mapping[str, str]) -> str:
        async with self._client() as client:
            ack = await client.jetstream().publish(event_type, payload, headers=to_headers(attributes) or None)
            return f"{STREAM}/{ack.seq}"

    async def rejected(self) -> list[bytes]:
        """All messages stay in the stream, and these tests publish only what they reject before they look."""
        async with self._client() as client:
            context = client.jetstream()
            last = (await context.stream_info(STREAM)).state.last_seq
            return [(await context.get_msg(STREAM, number)).data or b"" for number in range(1, last + 1)]

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        client = await nats.connect(self.url)
        try:
            yield client
        finally:
            await client.close()


class RabbitMQServer(BrokerServer):
    """RabbitMQ with quorum queues."""

    def __init__(self, folder: Path) -> None:
        self._server = RabbitMQNode(folder, [RABBITMQ_ADMIN])
        self._queue_settle_s = QUEUE_SETTLE_S
        self._subscriptions: dict[str, Sequence[str]] = {}

    @property
    def url(self) -> str:
        return self._server.url(RABBITMQ_ADMIN.name)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def kill(self) -> None:
        await self._server.kill()

    async def provision(self, subscriptions: Mapping[str, Sequence[str]]) -> None:
        self._subscriptions |= subscriptions
        await rabbitmq.provision(self.url, TYPES, subscriptions, queue_settle_s=self._queue_settle_s)

    async def lose_everything(self) -> None:
        await self.kill()
        shutil.rmtree(self._server.folder / "data")
        await self.start()

    async def clear(self) -> None:
        self._queue_settle_s = 0  # a server that all tests share is not killed
        async with self._channel() as channel:
            for queue in (*self._subscriptions, REJECTED):
                await channel.queue_delete(queue)
                for event_type in TYPES:
                    await channel.exchange_delete(route(queue, event_type))
            await channel.exchange_delete(REJECTED_ROUTE)
            for event_type in TYPES:
                await channel.exchange_delete(event_type)
                await channel.exchange_delete(routes(event_type))

    async def empty(self, subscriptions: Mapping[str, Sequence[str]]) -> None:
        """A busy RabbitMQ 3.10 whose queues are deleted and declared again may stop to declare quorum queues: it then
        rejects every one by INTERNAL_ERROR until it is restarted. Or the new queue has what was in the old one, or
        those who use the queue are not told that it was deleted.
        """
        try:
            await super().empty(subscriptions)
        except Unavailable:
            print(f"RabbitMQ is restarted. Its log ends: {(self._server.folder / 'log').read_text()[-4000:]}")
            await self.kill()
            await self.start()
            await super().empty(subscriptions)
        async with self._channel() as channel:
            for queue in (*subscriptions, REJECTED):
                await (await channel.get_queue(queue)).purge()

    async def publish(self, event_type: str, payload: bytes, attributes: Mapping[str, str]) -> str:
        message_id = uuid4().hex  # else the client library makes one up
        message = aio_pika.Message(payload, headers=dict(to_amqp_headers(attributes)), message_id=message_id)
        async with self._channel() as channel:
            await (await channel.get_exchange(event_type)).publish(message, routing_key="")
        return message_id

    async def rejected(self) -> list[bytes]:
        async with self._channel() as channel:
            queue = await channel.get_queue(REJECTED)
            payloads = []
            while (message := await queue.get(fail=False)) is not None:
                payloads.append(message.body)
            return payloads

    @contextlib.asynccontextmanager
    async def _channel(self) -> AsyncIterator[AbstractChannel]:
        async with await aio_pika.connect(self.url) as connection, connection.channel() as channel:
            yield channel


SERVERS: Final[Mapping[str, type[BrokerServer]]] = {"nats": NatsServer, "rabbitmq": RabbitMQServer}
"""The servers by the names of the adapters."""
