"""The connection to RabbitMQ."""

import asyncio
from collections.abc import Collection
from types import TracebackType
from typing import Self

import structlog
from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel, AbstractConnection

from mesh.background import Worker, uncancelled, wait
from mesh.errors import Unavailable
from mesh.events.envelope import Envelope
from mesh.events.rabbitmq.cloud_events import to_headers
from mesh.events.rabbitmq.connection import REQUEST_TIMEOUT_S, best_effort, exists, open_connection
from mesh.events.rabbitmq.failures import translated_failures
from mesh.events.rabbitmq.subscription import RabbitMQSubscription
from mesh.events.rabbitmq.topology import route

log = structlog.get_logger()

START_TIMEOUT_S = 1.0


class RabbitMQ(Worker):
    """The Broker on RabbitMQ. mesh.events.provision creates the exchanges and the queues.

    Each subscription has a connection of its own. RabbitMQ does not read from one that publishes while it lacks memory
    or disk space: acknowledgements in it, which make room again, would wait for that room.
    https://www.rabbitmq.com/docs/alarms
    """

    def __init__(self, url: str, service: str) -> None:
        """Prepares the connection. `service` is also the name of the RabbitMQ user."""
        super().__init__({"connection to RabbitMQ": self._stay_connected})
        self._url = url
        self._service = service
        self._connection: AbstractConnection | None = None
        self._consuming: set[AbstractConnection] = set()
        self._publishing: dict[str, asyncio.Task[AbstractChannel]] = {}
        self._connected = asyncio.Event()  # set at the first connection

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        # Components that use the broker start afterwards, and find it connected if it is up.
        await wait(self._connected, START_TIMEOUT_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        for connection in tuple(self._consuming):
            async with best_effort():
                await connection.close()

    async def publish(self, event: Envelope) -> None:
        """Publishes an event, as Broker.publish() does. Raises Unavailable."""
        attributes = event.attributes()
        message = Message(
            event.payload,
            headers=dict(to_headers(attributes)),
            content_type=attributes["datacontenttype"],
            delivery_mode=DeliveryMode.PERSISTENT,
            message_id=event.id,
        )
        with translated_failures():
            channel = await self._publishing_channel(event.type)
            exchange = await channel.get_exchange(event.type, ensure=False)
            # Not mandatory: a type that nobody consumes has no queue to be routed to.
            await exchange.publish(message, routing_key="", mandatory=False, timeout=REQUEST_TIMEOUT_S)

    async def subscribe(self, name: str, event_types: Collection[str]) -> RabbitMQSubscription:
        """Returns the durable subscription `name`, as Broker.subscribe() does. Raises Unavailable, also if the queue is
        not provisioned, or not for all of these types.
        """
        with translated_failures():
            connection = await open_connection(self._url, self._service)
            self._consuming.add(connection)
            connection.close_callbacks.add(lambda *_: self._consuming.discard(connection))
            subscription = RabbitMQSubscription(connection, name)
            try:
                missing = [
                    each for each in sorted(event_types) if not await exists(connection, exchange=route(name, each))
                ]
                await subscription.open()
            except BaseException:
                await subscription.close()
                raise
        if missing:
            await subscription.close()
            raise Unavailable(
                f"The consumer {name} does not deliver {', '.join(missing)}. Name {name} in the option "
                "meshwright.policy.v1.event of that message, run `make generate`, and provision the broker.",
                reason="EVENT_NOT_DELIVERED",
            )
        return subscription

    async def _publishing_channel(self, event_type: str) -> AbstractChannel:
        """Returns the channel for a type of event. Each type has its own: after a message to an exchange that is
        missing or not permitted, RabbitMQ closes the channel with all that is on its way in it.
        """
        connection = self._connected_connection()
        opening = self._publishing.get(event_type)
        if opening is None or (opening.done() and (opening.exception() or opening.result().is_closed)):
            opening = asyncio.ensure_future(_open_channel(connection, event_type))
            self._publishing[event_type] = opening
        return await asyncio.shield(opening)

    def _connected_connection(self) -> AbstractConnection:
        if self._connection is None or not self._connection.connected.is_set():
            raise Unavailable("The message broker does not answer.", reason="BROKER_UNAVAILABLE")
        return self._connection

    async def _stay_connected(self) -> None:
        """Connects; raises once the connection is lost, or if it can't be established."""
        with translated_failures():
            connection = await open_connection(self._url, self._service)
        lost = asyncio.Event()
        connection.close_callbacks.add(lambda *_: lost.set())
        try:
            if connection.connected.is_set():
                self._connection = connection
                self._connected.set()
                log.info("connected to RabbitMQ")
                await lost.wait()
        finally:
            self._connection = None
            self._publishing.clear()
            async with best_effort():  # closing a broken connection
                await connection.close()
        raise Unavailable("RabbitMQ has closed the connection.", reason="BROKER_UNAVAILABLE")


async def _open_channel(connection: AbstractConnection, event_type: str) -> AbstractChannel:
    """Opens the channel for a type of event. Raises one of FAILURES, also if the exchange is missing: RabbitMQ would
    close the channel at the first message, and the connection at those that the library sends after it.
    """
    with uncancelled():
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            channel = connection.channel(publisher_confirms=True, on_return_raises=False)
            await channel.initialize()
            await channel.get_exchange(event_type, ensure=True)
    return channel
