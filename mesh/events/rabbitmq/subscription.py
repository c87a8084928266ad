"""The subscription of a quorum queue, and its deliveries."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from mesh.background import wait
from mesh.events.broker import BATCH_MAX
from mesh.events.rabbitmq.cloud_events import from_message
from mesh.events.rabbitmq.connection import REQUEST_TIMEOUT_S, best_effort
from mesh.events.rabbitmq.failures import translated_failures

WAIT_S = 2.0


class RabbitMQSubscription:
    """The Subscription to a quorum queue with a single active consumer.

    RabbitMQ sends messages ahead, up to BATCH_MAX. Those that are not acknowledged when their channel ends come again,
    in their order and before later ones. That is also how a batch is requested again: a negative acknowledgement would
    put it behind messages that were sent ahead.
    """

    def __init__(self, connection: AbstractConnection, queue: str) -> None:
        """Prepares the subscription; open() subscribes. Nothing else may use the connection."""
        self._connection = connection
        self._queue = queue
        self._channel: AbstractChannel | None = None
        self._consumer_tag = ""
        self._arrived: deque[AbstractIncomingMessage] = deque()
        self._arrival = asyncio.Event()
        self._batch: list[RabbitMQDelivery] = []

    async def open(self) -> None:
        """Subscribes. Raises one of FAILURES."""
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            channel = self._connection.channel(publisher_confirms=False)
            await channel.initialize()
            await channel.set_qos(prefetch_count=BATCH_MAX)
            queue = await channel.declare_queue(self._queue, passive=True)
            arrived = self._arrived = deque()

            async def arrive(message: AbstractIncomingMessage) -> None:
                arrived.append(message)
                self._arrival.set()

            self._consumer_tag = await queue.consume(arrive)
            self._channel = channel

    async def next(self, limit: int = BATCH_MAX) -> "Sequence[RabbitMQDelivery]":
        """Returns the next deliveries, none if none arrives within WAIT_S. Raises Unavailable."""
        self._batch = []
        with translated_failures():
            if self._channel is None:
                await self.open()
            if not self._arrived:
                self._arrival.clear()
                await wait(self._arrival, WAIT_S)
            await self._check()
        count = min(limit, len(self._arrived))
        self._batch = [RabbitMQDelivery(self._arrived.popleft()) for _ in range(count)]
        return tuple(self._batch)

    async def ack(self) -> None:
        """Acknowledges the batch, and everything before it, at once."""
        unsettled = [delivery for delivery in self._batch if not delivery.is_rejected]
        self._batch = []
        if unsettled:
            async with best_effort():
                await unsettled[-1].message.ack(multiple=True)

    async def nak(self) -> None:
        """Requests the batch again, by a new channel."""
        channel = self._leave_channel()
        if channel is not None:
            async with best_effort():
                await channel.close()

    async def close(self) -> None:
        """Unsubscribes this process, and closes the connection; what it has not settled returns to the queue."""
        self._leave_channel()
        async with best_effort():
            await self._connection.close()

    def _leave_channel(self) -> AbstractChannel | None:
        channel, self._channel = self._channel, None
        self._batch = []
        self._arrived.clear()
        return channel

    async def _check(self) -> None:
        """Raises one of FAILURES if the channel is closed, or RabbitMQ has cancelled the consumer with its queue. It
        does not always say so: if nothing has arrived, asks it.
        """
        assert self._channel is not None, "it is open"
        channel = cast("aiormq.Channel", await self._channel.get_underlay_channel())
        consumed = not channel.is_closed and self._consumer_tag in channel.consumers
        if consumed and not self._arrived:
            declared = await channel.queue_declare(self._queue, passive=True, timeout=REQUEST_TIMEOUT_S)
            consumed = bool(declared.consumer_count)
        if not consumed:
            raise ChannelInvalidStateError(f"{self._queue} is not consumed any more")


def digest(event_type: str, attributes: Mapping[str, str], payload: bytes) -> str:
    """Returns an identifier of a message by all that it holds."""
    text = repr((event_type, sorted(attributes.items())))
    return f"sha256/{hashlib.sha256(text.encode() + payload).hexdigest()}"


@dataclass(slots=True)
class RabbitMQDelivery:
    """The Delivery of an AMQP message."""

    message: AbstractIncomingMessage
    is_rejected: bool = False

    @property
    def message_id(self) -> str:
        """Returns the id that the publisher gave to the message, else a digest of it: RabbitMQ has no ids."""
        return self.message.message_id or digest(self.event_type, self.attributes, self.payload)

    @property
    def event_type(self) -> str:
        """Returns the exchange that the message was published to, which RabbitMQ authorises only one publisher for."""
        return self.message.exchange or ""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Returns the CloudEvents attributes of the message."""
        return from_message(self.message.headers, self.message.content_type)

    @property
    def payload(self) -> bytes:
        """Returns the data of the message."""
        return self.message.body

    async def reject(self) -> None:
        """Rejects the message, which RabbitMQ moves to the queue of rejected ones."""
        async with best_effort():
            await self.message.reject(requeue=False)
            self.is_rejected = True
