"""The choice of a broker's adapter by the scheme of its URL.

An adapter is imported where it is chosen, so that a process loads only the client library of its own broker.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal

from mesh.contract.events import Participant
from mesh.events.broker import Broker


def connect(url: str, service: str) -> AbstractAsyncContextManager[Broker]:
    """Returns the connection of a service to the broker at a URL. The broker's user has the name of the service. Raises
    ValueError if there is no adapter for the URL's scheme.
    """
    if _adapter(url) == "nats":
        from mesh.events.nats.jetstream import JetStream

        return JetStream(url, service)
    from mesh.events.rabbitmq.rabbitmq import RabbitMQ

    return RabbitMQ(url, service)


async def provision(url: str, services: Sequence[Participant]) -> None:
    """Creates what the events of these services need in the broker at a URL, whose user is the provisioner. Raises
    Unavailable, or ValueError if there is no adapter for the URL's scheme.
    """
    types = sorted({event for service in services for event in (*service.publishes, *service.consumes)})
    consumers = {service.name: service.consumes for service in services if service.consumes}
    if _adapter(url) == "nats":
        from mesh.events.nats import provision as nats

        await nats.provision(url, types, consumers)
    else:
        from mesh.events.rabbitmq import provision as rabbitmq

        await rabbitmq.provision(url, types, consumers)


def _adapter(url: str) -> Literal["nats", "rabbitmq"]:
    match url.partition("://")[0]:
        case "nats" | "tls":
            return "nats"
        case "amqp" | "amqps":
            return "rabbitmq"
        case scheme:
            raise ValueError(
                f"There is no broker adapter for the scheme {scheme}://. Use nats://, tls://, amqp:// or amqps://."
            )
