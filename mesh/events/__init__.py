"""Events: told in the transaction that makes them true, carried by the broker, taken into account once by each service.

A service publishes by `publish()` into its outbox, which a `Relay` empties to the broker; an `Inbox` stores what the
broker brings and works it off. `python -m mesh.events` lists and replays what could not be handled.
"""

from mesh.events.event import Event
from mesh.events.inbox import Inbox
from mesh.events.nats import JetStream
from mesh.events.outbox import publish
from mesh.events.relay import Relay

__all__ = ["Event", "Inbox", "JetStream", "Relay", "publish"]
