"""The subscription of a durable JetStream consumer, and its deliveries."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.js import JetStreamContext

from mesh.events.nats.cloud_events import from_headers
from mesh.events.nats.failures import FAILURES, unavailable
from mesh.events.nats.stream import STREAM

FETCH_TIMEOUT_S = 2.0  # until the request for the next event is repeated, in case a broken connection has lost it
NAK_DELAY_S = 0.5


class JetStreamSubscription:
    """The Subscription to a JetStream consumer."""

    def __init__(self, pull: JetStreamContext.PullSubscription) -> None:
        self._pull = pull

    async def next(self) -> "JetStreamDelivery | None":
        """Returns the next delivery, None if none arrives within FETCH_TIMEOUT_S. Raises Unavailable."""
        try:
            [message] = await self._pull.fetch(1, timeout=FETCH_TIMEOUT_S)
        except TimeoutError:
            return None
        except FAILURES as error:
            raise unavailable(error) from error
        return JetStreamDelivery(message)

    async def close(self) -> None:
        """Unsubscribes this process; the broker keeps the position of the subscription."""
        with suppress(*FAILURES):  # it is gone with the connection
            await self._pull.unsubscribe()


@dataclass(frozen=True, slots=True)
class JetStreamDelivery:
    """The Delivery of a JetStream message."""

    _message: Msg

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

    async def ack(self) -> None:
        """Acknowledges the message."""
        with suppress(*FAILURES):
            await self._message.ack()

    async def nak(self) -> None:
        """Requests another delivery after NAK_DELAY_S."""
        with suppress(*FAILURES):
            await self._message.nak(delay=NAK_DELAY_S)

    async def reject(self) -> None:
        """Ends the delivery (TERM). The message stays in the stream."""
        with suppress(*FAILURES):
            await self._message.term()
