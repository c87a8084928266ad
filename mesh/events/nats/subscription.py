"""The subscription of a durable JetStream consumer, and its deliveries."""

import asyncio
import itertools
import json
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import Header, StatusCode
from nats.js.errors import APIError

from mesh.events.broker import BATCH_MAX
from mesh.events.nats.cloud_events import from_headers
from mesh.events.nats.failures import FAILURES, unavailable
from mesh.events.nats.stream import ACK_WAIT_S, REQUEST_TIMEOUT_S, STREAM

log = structlog.get_logger()

WAIT_S = 2.0  # until the request for the next event is repeated, in case a broken connection has lost it
EXPIRY_S = ACK_WAIT_S + 1.0  # after it, a delivery that nobody acknowledges is due again
EXPIRY_PAUSE_S_MAX = 1.0  # random: receivers that start over at the same moment disturb each other, time after time
_ACK, _NAK, _TERM = b"+ACK", b"-NAK", b"+TERM"


class JetStreamSubscription:
    """The Subscription to a JetStream consumer.

    With several messages in flight, JetStream delivers new ones before old ones whose time to be acknowledged has not
    expired yet. So this class accepts a message only if its delivery directly follows those that it has settled itself,
    by the number that the consumer gives to each delivery. Otherwise it starts over: it waits until nothing is in
    flight, or all that is in flight is due again, and therefore comes first.
    """

    def __init__(self, client: Client, context: JetStreamContext, consumer: str) -> None:
        """Prepares the subscription; open() subscribes."""
        self._client = client
        self._context = context
        self._consumer = consumer
        self._inbox = client.new_inbox()
        self._requests = itertools.count(1)
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._replies: Subscription | None = None
        self._next: int | None = None  # the number of the next delivery; None to start over
        self._owed = 0  # this many deliveries must be repetitions
        self._in_flight: tuple[int, int] | None = None  # what the consumer said of it
        self._in_flight_since = 0.0
        self._batch: list[JetStreamDelivery] = []

    async def open(self) -> None:
        """Subscribes to the replies to requests for messages. Raises one of FAILURES."""
        self._replies = await self._client.subscribe(f"{self._inbox}.*", cb=self._arrived.put)

    async def next(self, limit: int = BATCH_MAX) -> "Sequence[JetStreamDelivery]":
        """Returns the next deliveries, none if none arrives within WAIT_S. Raises Unavailable."""
        self._batch = []
        try:
            if self._next is None and not await self._start_over():
                await asyncio.sleep(random.uniform(0, EXPIRY_PAUSE_S_MAX))
                return ()
            messages = await self._pull({"batch": limit, "no_wait": True}) or await self._pull(
                {"batch": 1, "expires": int(WAIT_S * 1e9)}
            )
        except FAILURES as error:
            self._next = None
            raise unavailable(error) from error
        if not all(map(self._follows, messages)):
            log.debug("deliveries out of order dropped, to be repeated", consumer=self._consumer)
            self._next = None
            return ()
        self._batch = [JetStreamDelivery(message, self._client) for message in messages]
        return tuple(self._batch)

    async def ack(self) -> None:
        """Acknowledges the batch."""
        await self._settle(_ACK)

    async def nak(self) -> None:
        """Requests the batch again."""
        self._owed += await self._settle(_NAK)

    async def close(self) -> None:
        """Unsubscribes this process; the broker keeps the position of the subscription."""
        if self._replies is not None:
            with suppress(*FAILURES):  # it is gone with the connection
                await self._replies.unsubscribe()

    async def _settle(self, answer: bytes) -> int:
        """Settles the batch, and returns the number of its deliveries. The broker handles answers in their order, so
        that the last one is the only one to wait for.
        """
        batch = [delivery for delivery in self._batch if not delivery.is_rejected]
        self._batch = []
        try:
            for delivery in batch[:-1]:
                await delivery.settle(answer, confirmed=False)
            for delivery in batch[-1:]:
                await delivery.settle(answer, confirmed=True)
        except FAILURES:
            self._next = None
        return len(batch)

    async def _start_over(self) -> bool:
        """Returns whether the next deliveries come in order: nothing is in flight, or nothing that is not due again."""
        info = await self._context.consumer_info(STREAM, self._consumer)
        assert info.delivered is not None, "a consumer has a position"
        in_flight = (info.delivered.consumer_seq, info.num_ack_pending or 0)
        now = asyncio.get_running_loop().time()
        if in_flight != self._in_flight:
            # Since the last delivery, not since this receiver looked: each of a series of receivers may live for less
            # than EXPIRY_S. A wrong clock costs time only, because _follows() checks what must be a repetition.
            age_s = _age_s(info.delivered.last_active)
            self._in_flight, self._in_flight_since = in_flight, now - age_s
        if in_flight[1] and now - self._in_flight_since < EXPIRY_S:
            return False
        self._in_flight = None
        self._next, self._owed = in_flight[0] + 1, in_flight[1]
        return True

    def _follows(self, message: Msg) -> bool:
        """Returns whether a message is the one to be delivered next, and counts it."""
        metadata = message.metadata
        if metadata.sequence.consumer != self._next or (self._owed and metadata.num_delivered == 1):
            return False
        self._next += 1
        self._owed = max(self._owed - 1, 0)
        return True

    async def _pull(self, request: Mapping[str, object]) -> list[Msg]:
        """Requests messages, and returns them once all have come, or the broker says that there are no more. Raises one
        of FAILURES.
        """
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self._consumer}"
        reply = f"{self._inbox}.{next(self._requests)}"
        await self._client.publish(subject, json.dumps(request).encode(), reply)
        messages: list[Msg] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(WAIT_S + REQUEST_TIMEOUT_S):
                while len(messages) != request["batch"]:
                    message = await self._arrived.get()
                    if message.reply:
                        messages.append(message)
                    elif message.subject == reply:  # a status ends the request
                        _raise_unless_empty(message)
                        break
        return messages


def _age_s(time: datetime | None) -> float:
    return max((datetime.now(UTC) - time).total_seconds(), 0.0) if time is not None else 0.0


def _raise_unless_empty(status: Msg) -> None:
    """Raises APIError unless a status says that there are no messages, or that the request has expired."""
    if (status.headers or {}).get(Header.STATUS) not in (StatusCode.NO_MESSAGES, StatusCode.REQUEST_TIMEOUT):
        raise APIError.from_msg(status)


@dataclass(slots=True)
class JetStreamDelivery:
    """The Delivery of a JetStream message."""

    _message: Msg
    _client: Client
    is_rejected: bool = False

    @property
    def message_id(self) -> str:
        """Returns the position of the message in the stream."""
        return f"{STREAM}/{self._message.metadata.sequence.stream}"

    @property
    def event_type(self) -> str:
        """Returns the NATS subject, which the broker authorises only one publisher for."""
        return self._message.subject

    @property
    def attributes(self) -> Mapping[str, str]:
        """Returns the CloudEvents attributes in the headers."""
        return from_headers(self._message.headers or {})

    @property
    def payload(self) -> bytes:
        """Returns the data of the message."""
        return self._message.data

    async def reject(self) -> None:
        """Ends the delivery (TERM). The message stays in the stream."""
        with suppress(*FAILURES):
            await self.settle(_TERM, confirmed=True)
            self.is_rejected = True

    async def settle(self, answer: bytes, *, confirmed: bool) -> None:
        """Sends an answer. If it is to be confirmed, returns once the broker has handled it. Raises one of FAILURES."""
        if confirmed:
            await self._client.request(self._message.reply, answer, REQUEST_TIMEOUT_S)
        else:
            await self._client.publish(self._message.reply, answer)
