"""A tap on the events in the RabbitMQ broker of the local mesh, for the developer. Clusters have no such user.

The tap's own queue gets a copy of each new event. The queue is bound to the exchanges of routes, not to the exchange of
an event type: there, a binding would keep events from the alternate exchange and thereby from their consumers.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Any, Final, Self

from aio_pika.abc import AbstractIncomingMessage

from mesh.events.envelope import Envelope, UnauthenticEvent
from mesh.events.rabbitmq.connection import REQUEST_TIMEOUT_S, open_connection
from mesh.events.rabbitmq.subscription import RabbitMQDelivery
from mesh.events.rabbitmq.topology import routes
from mesh.events.rabbitmq.users import VHOST, User

PREFETCH: Final = 100
WAITING_MAX: Final = 1000
"""The maximum length of the tap's queue. If the reader is slower than the mesh, the oldest events are dropped."""

_NAME: Final = "event_reader"
_QUEUES: Final = f"^{_NAME}:"

EVENT_TAP: Final = User(_NAME, _QUEUES, _QUEUES, f"^({_NAME}:|routes:(?!rejected$)).+$")
"""The user of the tap. It can copy events, but neither publish them nor read the queues of consumers."""

TAP_POLICY: Final[dict[str, Any]] = {
    "vhost": VHOST,
    "name": "taps",
    "pattern": _QUEUES,
    "apply-to": "queues",
    "definition": {"max-length": WAITING_MAX, "overflow": "drop-head"},
    "priority": 1,  # overrides the policy for consumers, which would dead-letter dropped events as rejected
}


class EventTap:
    """A connection as the user EVENT_TAP. Raises one of rabbitmq.failures.FAILURES if the broker is not available."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def __aenter__(self) -> Self:
        self._connection = await open_connection(self._url, _NAME)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def events(self, event_types: Sequence[str]) -> AsyncGenerator[Envelope, None]:
        """Yields each new event of these types. Raises ConnectionError when the connection is lost."""
        arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._connection.close_callbacks.add(lambda *_: arrived.put_nowait(None))
        channel = await self._connection.channel(publisher_confirms=False)
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.declare_queue(f"{_NAME}:{uuid.uuid4().hex}", exclusive=True, timeout=REQUEST_TIMEOUT_S)
        await queue.consume(arrived.put)
        for event_type in event_types:
            await queue.bind(routes(event_type), timeout=REQUEST_TIMEOUT_S)
        while (message := await arrived.get()) is not None:
            with contextlib.suppress(UnauthenticEvent):
                yield _envelope(RabbitMQDelivery(message))
            await message.ack()
        raise ConnectionError("connection lost")


def _envelope(delivery: RabbitMQDelivery) -> Envelope:
    return Envelope.received(
        delivery.attributes, delivery.payload, message_id=delivery.message_id, event_type=delivery.event_type
    )
