"""The broker: NATS JetStream."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from mesh.errors import Unavailable
from mesh.events import metrics
from mesh.events.event import Envelope, UnauthenticEvent
from mesh.events.loop import keep_running, stop, wait
from mesh.events.users import STREAM, inbox_prefix

log = structlog.get_logger()

STREAM_AGE_S_MAX = 14 * 24 * 3600.0  # a consumer that is away for longer misses events
RECONNECT_PAUSE_S = 0.5
CONNECT_TIMEOUT_S = 2
START_TIMEOUT_S = 1.0
PING_PAUSE_S = 10  # two unanswered ones end the connection
REQUEST_TIMEOUT_S = 3.0
ACK_WAIT_S = 5.0  # then an event that we took comes again, for whoever took it may be dead
FETCH_TIMEOUT_S = 2.0  # then a request for the next event, which a broken connection loses, is repeated

_FAILURES = (nats.errors.Error, OSError)  # TimeoutError included


class JetStream:
    """A connection that is made in the background and made again whenever it is lost: starting needs no broker.

    Nor does readiness: a service whose broker is away does all its work, and tells of it later. The stream and the
    consumers are made by mesh.events.provision. `process` is the service's name, which is its user's name, too.
    """

    def __init__(self, url: str, process: str) -> None:
        self._url = url
        self._process = process
        self._client: Client | None = None
        self._connected = asyncio.Event()  # once, at least
        self._errors: set[str] = set()  # told since the last connection
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks.append(asyncio.create_task(keep_running("connection to NATS", self._stay_connected)))
        # Those who use it start after it: a broker that is up is connected to by then.
        await wait(self._connected, START_TIMEOUT_S)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._tasks)

    async def publish(self, event: Envelope) -> None:
        """Returns once the broker has the event on disk; giving it again does no harm. Raises Unavailable."""
        headers = {**event.headers(), "Nats-Msg-Id": event.id}
        try:
            await self._context().publish(
                event.type, event.payload, timeout=REQUEST_TIMEOUT_S, stream=STREAM, headers=headers
            )
        except _FAILURES as error:
            raise _unavailable(error) from error

    async def subscribe(self, name: str, types: Collection[str]) -> "Subscription":
        """Returns the durable subscription `name`, which delivers at least these types, from the oldest event kept.

        Raises Unavailable, also while the consumer is not provisioned, or not for all of these types.
        """
        context = self._context()
        try:
            consumer = await context.consumer_info(STREAM, name)
            delivered = {consumer.config.filter_subject, *(consumer.config.filter_subjects or ())}
            if missing := set(types) - delivered:
                raise Unavailable(
                    f"The consumer {name} does not deliver {', '.join(sorted(missing))}. Name {name} in the option "
                    "meshwright.policy.v1.event of that message, run `make generate`, and provision the broker.",
                    reason="EVENT_NOT_DELIVERED",
                )
            pull = await context.pull_subscribe_bind(consumer=name, stream=STREAM)
        except _FAILURES as error:
            raise _unavailable(error) from error
        return Subscription(pull)

    def _context(self) -> JetStreamContext:
        if self._client is None or not self._client.is_connected:
            raise Unavailable("The message broker does not answer.", reason="BROKER_UNAVAILABLE")
        return self._client.jetstream(timeout=REQUEST_TIMEOUT_S)

    async def _stay_connected(self) -> None:
        """Connects, however long that takes, and holds the connection; raises when the client gives it up for good."""
        closed = asyncio.Event()

        async def on_closed() -> None:
            closed.set()

        async def on_disconnected() -> None:
            if not client.is_closed:
                log.warning("disconnected from NATS")

        client = Client()
        try:
            await client.connect(
                self._url,
                name=self._process,
                inbox_prefix=inbox_prefix(self._process).encode(),
                connect_timeout=CONNECT_TIMEOUT_S,
                reconnect_time_wait=RECONNECT_PAUSE_S,  # type: ignore[arg-type]  # annotated int, used as a float
                max_reconnect_attempts=-1,
                ping_interval=PING_PAUSE_S,
                pending_size=0,  # while disconnected a publish fails at once: the outbox is the buffer
                error_cb=self._on_error,
                disconnected_cb=on_disconnected,
                reconnected_cb=self._on_connected,
                closed_cb=on_closed,
            )
            await self._on_connected()
            self._client = client
            await closed.wait()
            raise ConnectionError("NATS has closed the connection for good")
        finally:
            self._client = None
            with suppress(*_FAILURES):  # closing what is broken
                await client.close()

    async def _on_connected(self) -> None:
        self._connected.set()
        self._errors.clear()
        log.info("connected to NATS")

    async def _on_error(self, error: Exception) -> None:
        """Tells of an error once, not with every attempt to connect."""
        text = f"{type(error).__name__}: {error}"
        if text not in self._errors:
            log.warning("NATS connection error", error=text)
        self._errors.add(text)


class Subscription:
    """A durable subscription: what is not acknowledged comes again."""

    def __init__(self, pull: JetStreamContext.PullSubscription) -> None:
        self._pull = pull

    async def next(self) -> "Delivery | None":
        """Returns the next event; None if there is none for some seconds, or a forged one. Raises Unavailable."""
        try:
            [message] = await self._pull.fetch(1, timeout=FETCH_TIMEOUT_S)
        except TimeoutError:
            return None
        except _FAILURES as error:
            raise _unavailable(error) from error
        message_id = f"{STREAM}/{message.metadata.sequence.stream}"
        try:
            envelope = Envelope.received(
                message.headers or {}, message.data, message_id=message_id, subject=message.subject
            )
        except UnauthenticEvent as error:
            await _refuse(message, str(error))
            return None
        return Delivery(envelope, message)

    async def close(self) -> None:
        """Ends the interest of this process; the broker remembers where the subscription stands."""
        with suppress(*_FAILURES):  # it is gone with the connection
            await self._pull.unsubscribe()


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event that the broker gives, and holds until it hears that we have it."""

    envelope: Envelope
    _message: Msg

    async def acknowledge(self) -> None:
        """We have it. If the broker does not hear of it, the event comes again, which the inbox notices."""
        with suppress(*_FAILURES):
            await self._message.ack()

    async def refuse(self) -> None:
        """We could not take it now: give it again, soon."""
        with suppress(*_FAILURES):
            await self._message.nak(delay=RECONNECT_PAUSE_S)


async def _refuse(message: Msg, reason: str) -> None:
    """Ends the delivery of a forged event. It stays in the stream, for whoever looks into it, and out of the dead
    letters, which can be handled again.
    """
    log.error("event refused", event_type=message.subject, reason=reason)
    metrics.HANDLED.labels(message.subject, "refused").inc()
    with suppress(*_FAILURES):
        await message.term()


def _unavailable(error: BaseException) -> Unavailable:
    log.debug("NATS error", error=f"{type(error).__name__}: {error}")
    return Unavailable(
        f"The message broker refuses or does not answer ({type(error).__name__}).", reason="BROKER_UNAVAILABLE"
    )
