"""The choice of a broker's adapter by the scheme of its URL."""

from contextlib import AbstractAsyncContextManager

from mesh.events.broker import Broker


def connect(url: str, service: str) -> AbstractAsyncContextManager[Broker]:
    """Returns the connection of a service to the broker at a URL. The broker's user has the name of the service. Raises
    ValueError if there is no adapter for the URL's scheme.
    """
    match url.partition("://")[0]:
        case "nats" | "tls":
            # Imported here so that a process loads only the client library of its own broker.
            from mesh.events.nats.jetstream import JetStream

            return JetStream(url, service)
        case "amqp" | "amqps":
            from mesh.events.rabbitmq.rabbitmq import RabbitMQ

            return RabbitMQ(url, service)
        case scheme:
            raise ValueError(
                f"There is no broker adapter for the scheme {scheme}://. Use nats://, tls://, amqp:// or amqps://."
            )
