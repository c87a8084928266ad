"""The adapters of brokers, chosen by the scheme of a URL."""

from contextlib import AbstractAsyncContextManager

from mesh.events.broker import Broker


def connect(url: str, service: str) -> AbstractAsyncContextManager[Broker]:
    """Returns the connection of a service to the broker at a URL, whose user is named as the service. Raises ValueError
    if no adapter has the URL's scheme.
    """
    match url.partition("://")[0]:
        case "nats" | "tls":
            # A process loads the client library of its own broker alone.
            from mesh.events.nats.jetstream import JetStream

            return JetStream(url, service)
        case scheme:
            raise ValueError(f"There is no broker of the scheme {scheme}://.")
