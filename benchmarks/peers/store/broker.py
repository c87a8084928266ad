"""Events over RabbitMQ: a topic exchange, and a durable queue for each service that consumes."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Self, TypeAlias

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustConnection
from pydantic import BaseModel

EXCHANGE: Final = "shop"
DEAD_LETTERS: Final = "shop.dead"
PREFETCH: Final = 20

Handler: TypeAlias = Callable[[Any], Awaitable[None]]
Subscriptions: TypeAlias = Mapping[type[BaseModel], Handler]

log = logging.getLogger(__name__)


class Broker:
    """The connection of a service to RabbitMQ. The routing key of an event is the name of its class."""

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._handlers: dict[str, tuple[type[BaseModel], Handler]] = {}

    async def __aenter__(self) -> Self:
        self._connection: AbstractRobustConnection = await aio_pika.connect_robust(self._url)
        channel = await self._connection.channel()  # with publisher confirms, which are aio-pika's default
        self._exchange = await channel.declare_exchange(EXCHANGE, aio_pika.ExchangeType.TOPIC, durable=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def publish(self, event: BaseModel) -> None:
        """Publishes an event, and waits until RabbitMQ has confirmed it."""
        message = aio_pika.Message(
            event.model_dump_json().encode(),
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        await self._exchange.publish(message, routing_key=type(event).__name__)

    async def consume(self, subscriptions: Subscriptions) -> None:
        """Calls the handler of each event. An event whose handler fails becomes a dead letter."""
        channel: AbstractRobustChannel = await self._connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        dead = await channel.declare_exchange(DEAD_LETTERS, aio_pika.ExchangeType.FANOUT, durable=True)
        await (await channel.declare_queue(DEAD_LETTERS, durable=True)).bind(dead)
        arguments = {"x-dead-letter-exchange": DEAD_LETTERS}
        queue = await channel.declare_queue(f"shop.{self._service}", durable=True, arguments=arguments)
        for event_type in subscriptions:
            await queue.bind(self._exchange, routing_key=event_type.__name__)
        by_key = {event_type.__name__: (event_type, handler) for event_type, handler in subscriptions.items()}
        await queue.consume(partial(_handle, by_key))


async def _handle(handlers: Mapping[str, tuple[type[BaseModel], Handler]], message: AbstractIncomingMessage) -> None:
    async with message.process():
        event_type, handler = handlers[message.routing_key or ""]
        await handler(event_type.model_validate_json(message.body))
        log.info("handled %s", message.routing_key)
