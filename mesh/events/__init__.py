"""Events: published in the transaction that makes them true, carried by a broker, handled once by each service.

A service publishes by `publish()` into its outbox, which a `Relay` empties to the broker; an `Inbox` stores what the
broker delivers and has it handled. `python -m mesh.events` lists and replays what could not be handled. Only
mesh.events.nats knows which broker it is.
"""

from mesh.events.adapters import connect
from mesh.events.broker import Broker
from mesh.events.event import Event
from mesh.events.inbox import Inbox
from mesh.events.outbox import publish
from mesh.events.relay import Relay

__all__ = ["Broker", "Event", "Inbox", "Relay", "connect", "publish"]
