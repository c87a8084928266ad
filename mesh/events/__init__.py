"""Events: written in the transaction that makes the change, delivered by a broker, handled once by each consumer.

`publish()` adds an event to the service's outbox, from which a `Relay` publishes it to the broker. An `Inbox` stores
the events that the broker delivers, and calls their handlers. `python -m mesh.events` lists, shows and replays dead
letters.
Only mesh.events.nats depends on NATS, only mesh.events.rabbitmq on RabbitMQ.
"""

from mesh.events.adapters import connect
from mesh.events.broker import Broker
from mesh.events.event import Event
from mesh.events.inbox import Inbox
from mesh.events.outbox import publish, publish_all
from mesh.events.relay import Relay

__all__ = ["Broker", "Event", "Inbox", "Relay", "connect", "publish", "publish_all"]
