"""The connection to NATS JetStream."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from typing import Self

import structlog
from nats.aio.client import Client

from mesh.background import Worker, wait
from mesh.errors import Unavailable
from mesh.events.envelope import Envelope
from mesh.events.nats.cloud_events import to_headers
from mesh.events.nats.failures import FAILURES, unavailable
from mesh.events.nats.stream import REQUEST_TIMEOUT_S, STREAM
from mesh.events.nats.subscription import JetStreamSubscription
from mesh.events.nats.users import inbox_prefix

log = structlog.get_logger()

RECONNECT_PAUSE_S = 0.5
CONNECT_TIMEOUT_S = 2
START_TIMEOUT_S = 1.0
PING_PAUSE_S = 10  # two unanswered ones end the connection


class _Client(Client):
    """A client that no message makes deaf. NATS passes on whatever stands where a message has its headers, and the
    library ends its reading, but not the connection, at what it can't read there. The message would be delivered again,
    and end the next reading too: nothing behind it would ever arrive.
    """

    async def _process_headers(self, headers: bytes | None) -> dict[str, str] | None:
        """Reads headers. Returns None if they can't be read, so that the event is not authentic."""
        with suppress(LookupError, ValueError):
            return await super()._process_headers(headers)
        return None


class JetStream(Worker):
    """The Broker on NATS JetStream. mesh.events.provision creates the stream and the consumers."""

    def __init__(self, url: str, service: str) -> None:
        """Prepares the connection. `service` is also the name of the NATS user."""
        super().__init__({"connection to NATS": self._stay_connected})
        self._url = url
        self._service = service
        self._client: Client | None = None
        self._connected = asyncio.Event()  # set at the first connection
        self._errors: set[str] = set()  # logged since the last connection

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        # Components that use the broker start afterwards, and find it connected if it is up.
        await wait(self._connected, START_TIMEOUT_S)
        return self

    async def publish(self, event: Envelope) -> None:
        """Publishes an event, as Broker.publish() does. Raises Unavailable."""
        headers = {**to_headers(event.attributes()), "Nats-Msg-Id": event.id}
        try:
            context = self._connected_client().jetstream(timeout=REQUEST_TIMEOUT_S)
            await context.publish(event.type, event.payload, timeout=REQUEST_TIMEOUT_S, stream=STREAM, headers=headers)
        except FAILURES as error:
            raise unavailable(error) from error

    async def subscribe(self, name: str, event_types: Collection[str]) -> JetStreamSubscription:
        """Returns the durable subscription `name`, as Broker.subscribe() does. Raises Unavailable, also if the consumer
        is not provisioned, or not for all of these types.
        """
        client = self._connected_client()
        context = client.jetstream(timeout=REQUEST_TIMEOUT_S)
        try:
            consumer = await context.consumer_info(STREAM, name)
            delivered = {consumer.config.filter_subject, *(consumer.config.filter_subjects or ())}
            if missing := set(event_types) - delivered:
                raise Unavailable(
                    f"The consumer {name} does not deliver {', '.join(sorted(missing))}. Name {name} in the option "
                    "meshwright.policy.v1.event of that message, run `make generate`, and provision the broker.",
                    reason="EVENT_NOT_DELIVERED",
                )
            subscription = JetStreamSubscription(client, context, name)
            await subscription.open()
        except FAILURES as error:
            raise unavailable(error) from error
        return subscription

    def _connected_client(self) -> Client:
        if self._client is None or not self._client.is_connected:
            raise Unavailable("The message broker does not answer.", reason="BROKER_UNAVAILABLE")
        return self._client

    async def _stay_connected(self) -> None:
        """Connects, retrying without limit, and reconnects; raises once the client has closed the connection."""
        closed = asyncio.Event()

        async def on_closed() -> None:
            closed.set()

        async def on_disconnected() -> None:
            if not client.is_closed:
                log.warning("disconnected from NATS")

        client = _Client()
        try:
            await client.connect(
                self._url,
                name=self._service,
                inbox_prefix=inbox_prefix(self._service).encode(),
                connect_timeout=CONNECT_TIMEOUT_S,
                reconnect_time_wait=RECONNECT_PAUSE_S,  # type: ignore[arg-type]  # annotated int, used as a float
                max_reconnect_attempts=-1,
                ping_interval=PING_PAUSE_S,
                pending_size=0,  # while disconnected, publishing fails at once: the outbox is the buffer
                error_cb=self._on_error,
                disconnected_cb=on_disconnected,
                reconnected_cb=self._on_connected,
                closed_cb=on_closed,
            )
            await self._on_connected()
            self._client = client
            await closed.wait()
            raise ConnectionError("NATS has closed the connection")
        finally:
            self._client = None
            with suppress(*FAILURES):  # closing a broken connection
                await client.close()

    async def _on_connected(self) -> None:
        self._connected.set()
        self._errors.clear()
        log.info("connected to NATS")

    async def _on_error(self, error: Exception) -> None:
        """Logs an error once, not with every attempt to connect."""
        text = f"{type(error).__name__}: {error}"
        if text not in self._errors:
            log.warning("NATS connection error", error=text)
        self._errors.add(text)
