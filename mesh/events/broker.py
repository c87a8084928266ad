"""The port to a message broker: what the relay of the outbox and the inbox need of it, and the guarantees they rely on.

An adapter implements it (mesh.events.nats). tests/mesh/events/test_broker.py holds every adapter to it.
"""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from mesh.events.envelope import Envelope

EVENT_AGE_S_MAX: Final = 14 * 24 * 3600.0
"""For how long a broker keeps an event. A consumer that is away for longer misses events; an inbox that remembers what
it has handled for longer than this handles nothing twice.
"""


class Broker(Protocol):
    """A connection to a broker, made in the background and made again whenever it is lost: starting needs no broker.

    Nor does readiness: a service whose broker is away does all its work, and publishes its events later. Who may
    publish and consume which types is provisioned beforehand, not by the services.
    """

    async def publish(self, event: Envelope) -> None:
        """Publishes an event, and returns once the broker has it on disk. Raises Unavailable; the event may have been
        published all the same.

        Publishing it again does no harm: it may be delivered once more, which a consumer knows by its id. Of two
        events, the one whose publish() returned before the other's began is delivered first.
        """

    async def subscribe(self, name: str, event_types: Collection[str]) -> "Subscription":
        """Returns the durable subscription `name`, which delivers at least these types, from the oldest event that the
        broker keeps. All who subscribe under a name share one subscription.

        Raises Unavailable, also while the subscription is not provisioned, or not for all of these types.
        """


class Subscription(Protocol):
    """A durable subscription. The broker remembers where it stands; each event is delivered at least once."""

    async def next(self) -> "Delivery | None":
        """Returns the next delivery, None if there is none for some seconds. Raises Unavailable.

        There is one delivery at a time, over all who share the subscription: the next comes after the one before was
        acknowledged, rejected or lost. So a delivery that is repeated comes before later ones.
        """

    async def close(self) -> None:
        """Ends the interest of this process. What it has not settled is delivered again."""


class Delivery(Protocol):
    """A message that the broker gives, and holds until it is settled by ack(), nak() or reject(). One that is not
    settled within seconds, because its holder has died, is delivered again. So it is if the broker does not hear that
    it was settled: none of the three raises.
    """

    @property
    def message_id(self) -> str:
        """The broker's own name for the message, the same whenever it is delivered."""

    @property
    def event_type(self) -> str:
        """The type of event that the broker let its author publish. It alone can be trusted."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attributes of CloudEvents that its author gave, by their names in lower case."""

    @property
    def payload(self) -> bytes:
        """The data of the event."""

    async def ack(self) -> None:
        """Tells the broker that the event is stored here: it is not delivered again."""

    async def nak(self) -> None:
        """Tells the broker that the event could not be stored: it is delivered again, soon."""

    async def reject(self) -> None:
        """Dead-letters the message: it is not delivered again, and kept where an operator can look at it."""
