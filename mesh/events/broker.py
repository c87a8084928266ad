"""The port to a message broker: the operations that the relay and the inbox need, and the guarantees they rely on.

An adapter implements it (mesh.events.nats, mesh.events.rabbitmq). tests/mesh/events/test_broker.py tests every adapter
against it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from mesh.events.envelope import Envelope

EVENT_AGE_S_MAX: Final = 14 * 24 * 3600.0
"""The time for which a broker keeps an event. A consumer that is away for longer misses events; an inbox that remembers
handled events for longer handles none twice.
"""
BATCH_MAX: Final = 100
"""The most deliveries that a broker has outstanding for a subscription."""


class Broker(Protocol):
    """A connection to a broker, established in the background and again whenever it is lost.

    A service starts and is ready without its broker: it does all its work, and publishes its events later. The
    permissions to publish and consume event types are provisioned beforehand, not by the services.
    """

    async def publish(self, event: Envelope) -> None:
        """Publishes an event, and returns once the broker has it on disk for every subscription that is provisioned for
        its type. Raises Unavailable, also if the type is not provisioned; the event may nevertheless have been
        published.

        It is safe to publish an event again: consumers recognise a repeated delivery by its id. If publish() of one
        event returned before that of another began, the first is delivered first.
        """

    async def subscribe(self, name: str, event_types: Collection[str]) -> "Subscription":
        """Returns the durable subscription `name`, which delivers at least these types, from the oldest event that the
        broker keeps for it. All subscribers under a name share one subscription.

        Raises Unavailable, also if the subscription is not provisioned, or not for all of these types.
        """


class Subscription(Protocol):
    """A durable subscription. The broker keeps its position; each event is delivered at least once."""

    async def next(self, limit: int = BATCH_MAX) -> "Sequence[Delivery]":
        """Returns the next deliveries, in order and at most `limit`: those that have arrived, none if none arrives
        within some seconds. Raises Unavailable.

        All subscribers together have one batch at a time: the next one comes after the previous one was settled or
        lost. A repeated delivery therefore comes before later ones. Subscribers that compete only hinder each other;
        the inbox of one replica receives for all.
        """

    async def ack(self) -> None:
        """Acknowledges the deliveries of the last batch that were not rejected: they are stored here, and not delivered
        again. If the broker does not learn of it, they are; so this does not raise.
        """

    async def nak(self) -> None:
        """Requests those deliveries again, because they could not be stored. Does not raise."""

    async def close(self) -> None:
        """Unsubscribes this process. Deliveries that it has not settled are repeated."""


class Delivery(Protocol):
    """A message that the broker delivers, until it is settled by its subscription or rejected. One that is not settled
    within seconds, because its receiver has died, is delivered again.
    """

    @property
    def message_id(self) -> str:
        """Returns an identifier of the message, the same for every delivery."""

    @property
    def event_type(self) -> str:
        """Returns the type of event that the broker authorised its publisher for. Only this can be trusted."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """Returns the CloudEvents attributes that the publisher set, with names in lower case."""

    @property
    def payload(self) -> bytes:
        """Returns the data of the event."""

    async def reject(self) -> None:
        """Rejects the message: it is not delivered again, but kept for an operator to inspect. Does not raise."""
