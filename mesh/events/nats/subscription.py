"""The subscription of a durable JetStream consumer, and its deliveries."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from nats.aio.msg import Msg
from nats.js import JetStreamContext

from mesh.events.nats.cloud_events import from_headers
from mesh.events.nats.failures import FAILURES, unavailable
from mesh.events.nats.stream import STREAM

FETCH_TIMEOUT_S = 2.0  # then a request for the next event, which a broken connection loses, is repeated
NAK_DELAY_S = 0.5


class JetStreamSubscription:
    """See mesh.events.broker.Subscription."""

    def __init__(self, pull: JetStreamContext.PullSubscription) -> None:
        self._pull = pull

    async def next(self) -> "JetStreamDelivery | None":
        """Returns the next delivery, None if there is none for FETCH_TIMEOUT_S. Raises Unavailable."""
        try:
            [message] = await self._pull.fetch(1, timeout=FETCH_TIMEOUT_S)
        except TimeoutError:
            return None
        except FAILURES as error:
            raise unavailable(error) from error
        return JetStreamDelivery(message)

    async def close(self) -> None:
        """Ends the interest of this process; the broker remembers where the subscription stands."""
        with suppress(*FAILURES):  # it is gone with the connection
            await self._pull.unsubscribe()


@dataclass(frozen=True, slots=True)
class JetStreamDelivery:
    """See mesh.events.broker.Delivery."""

    _message: Msg

    @property
    def message_id(self) -> str:
        """The place of the message in its stream."""
        return f"{STREAM}/{self._message.metadata.sequence.stream}"

    @property
    def event_type(self) -> str:
        """The subject: the broker lets only its publisher use it."""
        return self._message.subject

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attributes of CloudEvents in the headers."""
        return from_headers(self._message.headers or {})

    @property
    def payload(self) -> bytes:
        """The message's data."""
        return self._message.data

    async def ack(self) -> None:
        """Acknowledges the message."""
        with suppress(*FAILURES):
            await self._message.ack()

    async def nak(self) -> None:
        """Asks for another delivery after NAK_DELAY_S."""
        with suppress(*FAILURES):
            await self._message.nak(delay=NAK_DELAY_S)

    async def reject(self) -> None:
        """Ends the delivery (TERM). The message stays in the stream."""
        with suppress(*FAILURES):
            await self._message.term()
