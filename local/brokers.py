"""The brokers that `make up` can run. The setting BROKER selects one.

What needs a broker's client library is imported where the broker is chosen, so that only one is loaded.
"""

from collections.abc import Sequence
from typing import TypeAlias

from local.home import Home
from local.nats import Nats
from local.rabbitmq import RabbitMQServer
from local.settings import BrokerSettings, read_settings
from mesh.contract.events import Participant
from mesh.events.nats import users as nats
from mesh.events.rabbitmq import users as rabbitmq

BrokerServer: TypeAlias = Nats | RabbitMQServer

PORTS = {"nats": "NATS_PORT", "rabbitmq": "RABBITMQ_PORT"}
"""The variable that sets the port of each broker."""


def broker(home: Home, services: Sequence[Participant], ports: dict[str, int]) -> BrokerServer:
    """Returns the server that BROKER selects, with the users of these services. Each broker has its own data: after a
    change of BROKER, unhandled events stay in the other broker.
    """
    name = chosen()
    port = ports[PORTS[name]]
    if name == "nats":
        from local.event_reader import EVENT_READER

        return Nats(home.data(name), (*nats.users(services), EVENT_READER), port)
    from local.event_tap import EVENT_TAP, TAP_POLICY

    return RabbitMQServer(home.data(name), (*rabbitmq.users(services), EVENT_TAP), port, policies=(TAP_POLICY,))


def chosen() -> str:
    """Returns the name of the broker to run. Raises SetupError if BROKER has another value."""
    return read_settings(BrokerSettings).broker


def unused_ports() -> set[str]:
    """Returns the port variables of the brokers that do not run."""
    return {variable for name, variable in PORTS.items() if name != chosen()}
