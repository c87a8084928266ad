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
from mesh.events.nats.stream import REQUEST_TIMEOUT_S, STREAM

log = structlog.get_logger()

WAIT_S = 2.0  # until the request for the next event is repeated, in case a broken connection has lost it
SILENCE_S_MAX = WAIT_S + REQUEST_TIMEOUT_S  # until a request counts as lost, or the reply to it
EXPIRY_DELAY_S = 1.0  # this long after its time to be acknowledged, a delivery is certainly due again
EXPIRY_PAUSE_S_MAX = 1.0  # random: receivers that start over at the same moment disturb each other, time after time
_ACK, _NAK, _TERM = b"+ACK", b"-NAK", b"+TERM"


class JetStreamSubscription:
    """The Subscription to a JetStream consumer.

    With several messages in flight, JetStream delivers new ones before old ones whose time to be acknowledged has not
    expired yet, and repeats the old ones in the order in which they expired. So this class hands out messages only if
    nothing else is in flight. That is so if their deliveries directly follow those that it has settled itself, by the
    number that the consumer gives to each delivery. Otherwise it starts over: it waits until nothing is in flight, or
    all that is in flight is due again, and takes all of that at once, to bring it into the order of the stream.
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
        self._next = 0  # the number of the next delivery, the first being 1; 0 to start over
        self._owed = 0  # this many other messages are in flight: the next deliveries must repeat them all
        self._last = -1  # the number of the last delivery when this subscription last started over
        self._quiet_since = 0.0  # as far as it knows, no message has been delivered since
        self._taken: list[JetStreamDelivery] = []  # but not handed out yet
        self._batch: list[JetStreamDelivery] = []

    async def open(self) -> None:
        """Subscribes to the replies to requests for messages. Raises one of FAILURES."""
        self._replies = await self._client.subscribe(f"{self._inbox}.*", cb=self._arrived.put)

    async def next(self, limit: int = BATCH_MAX) -> "Sequence[JetStreamDelivery]":
        """Returns the next deliveries, none if none arrives within WAIT_S. Raises Unavailable."""
        self._batch = []
        try:
            if not self._next and not await self._start_over():
                await asyncio.sleep(random.uniform(0, EXPIRY_PAUSE_S_MAX))
                return ()
            if not self._taken:
                self._taken = await self._take(limit)
        except FAILURES as error:
            self._next = 0
            raise unavailable(error) from error
        self._batch, self._taken = self._taken[:limit], self._taken[limit:]
        return tuple(self._batch)

    async def ack(self) -> None:
        """Acknowledges the batch."""
        await self._settle(_ACK)

    async def nak(self) -> None:
        """Requests the batch again, and what was taken with it."""
        self._batch, self._taken = self._batch + self._taken, []
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
            self._next = 0
        return len(batch)

    async def _start_over(self) -> bool:
        """Returns whether the next deliveries can come in order: nothing is in flight, or all of it is due again."""
        self._taken = []
        info = await self._context.consumer_info(STREAM, self._consumer)
        assert info.delivered is not None, "a consumer has a position"
        assert info.config.ack_wait is not None, "a consumer has a time to be acknowledged"
        last, in_flight = info.delivered.consumer_seq, info.num_ack_pending or 0
        now = asyncio.get_running_loop().time()
        if last != self._last:
            # Since the last delivery, not since this receiver looked: each of a series of receivers may live for less
            # than that takes. A wrong clock costs time only, because _are_next() checks that all is repeated.
            self._last, self._quiet_since = last, max(self._quiet_since, now - _age_s(info.delivered.last_active))
        if in_flight and now - self._quiet_since < info.config.ack_wait + EXPIRY_DELAY_S:
            return False
        while not self._arrived.empty():  # late; it is among what is in flight
            self._arrived.get_nowait()
        self._next, self._owed = last + 1, in_flight
        return True

    async def _take(self, limit: int) -> "list[JetStreamDelivery]":
        """Takes the next deliveries and returns them in the order of the stream; none, to start over, if something else
        is in flight. Raises one of FAILURES.
        """
        messages = await self._pull({"batch": max(limit, self._owed), "no_wait": True})
        if not (messages or self._owed):
            messages = await self._pull({"batch": 1, "expires": int(WAIT_S * 1e9)})
        if not self._are_next(messages):
            log.debug("deliveries out of order dropped, to be repeated", consumer=self._consumer)
            self._next, self._quiet_since = 0, asyncio.get_running_loop().time()
            return []
        self._next, self._owed = self._next + len(messages), 0
        messages.sort(key=lambda message: message.metadata.sequence.stream)
        return [JetStreamDelivery(message, self._client) for message in messages]

    def _are_next(self, messages: Sequence[Msg]) -> bool:
        """Returns whether these are the next deliveries and, if others are in flight, repeat every one of them."""
        numbers = [message.metadata.sequence.consumer for message in messages]
        first = [message.metadata for message in messages[: self._owed]]
        repeated = {metadata.sequence.stream for metadata in first if metadata.num_delivered > 1}
        return numbers == [*range(self._next, self._next + len(messages))] and len(repeated) == self._owed

    async def _pull(self, request: Mapping[str, object]) -> list[Msg]:
        """Requests messages, and returns them once all have come, or the broker says that there are no more. Raises one
        of FAILURES, also if the broker falls silent before: what it delivered may be lost.
        """
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{self._consumer}"
        reply = f"{self._inbox}.{next(self._requests)}"
        await self._client.publish(subject, json.dumps(request).encode(), reply)
        messages: list[Msg] = []
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(SILENCE_S_MAX) as silence:
            while len(messages) != request["batch"]:
                message = await self._arrived.get()
                silence.reschedule(loop.time() + SILENCE_S_MAX)
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
