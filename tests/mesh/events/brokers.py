"""Servers of brokers, one class for each adapter, with the operations that tests need beside the adapter."""

import abc
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import nats
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from local.nats import Nats
from mesh.events import Broker, connect
from mesh.events.broker import Delivery
from mesh.events.envelope import Envelope
from mesh.events.nats.cloud_events import to_headers
from mesh.events.nats.provision import provision
from mesh.events.nats.stream import STREAM
from tests.broker import ADMIN


def received(delivery: Delivery) -> Envelope:
    """Returns the event of a delivery."""
    return Envelope.received(
        delivery.attributes, delivery.payload, message_id=delivery.message_id, event_type=delivery.event_type
    )


class BrokerServer(abc.ABC):
    """A server of one kind, with one user who has all permissions."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Returns the URL for connect()."""

    @abc.abstractmethod
    async def start(self) -> None:
        """Starts the server with its existing data."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Stops the server gracefully."""

    @abc.abstractmethod
    async def kill(self) -> None:
        """Kills the server with SIGKILL."""

    @abc.abstractmethod
    async def provision(self, subscriptions: Mapping[str, Sequence[str]]) -> None:
        """Creates the stream, and these subscriptions with their types."""

    @abc.abstractmethod
    async def lose_everything(self) -> None:
        """Deletes all events and subscriptions."""

    @abc.abstractmethod
    async def publish(self, event_type: str, payload: bytes, attributes: Mapping[str, str]) -> None:
        """Publishes a message with any attributes, as a publisher that bypasses the adapter could."""

    @abc.abstractmethod
    def message_id(self, number: int) -> str:
        """Returns the server's identifier of a message by its number, which starts at 1 after lose_everything()."""

    def connect(self, service: str = "test") -> AbstractAsyncContextManager[Broker]:
        """Returns the adapter's connection for a service."""
        return connect(self.url, service)


class NatsServer(BrokerServer):
    """NATS with JetStream."""

    def __init__(self, folder: Path) -> None:
        self._server = Nats(folder, [ADMIN])

    @property
    def url(self) -> str:
        return self._server.url(ADMIN.name)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def kill(self) -> None:
        await self._server.kill()

    async def provision(self, subscriptions: Mapping[str, Sequence[str]]) -> None:
        await provision(self.url, subscriptions)

    async def lose_everything(self) -> None:
        async with self._client() as client:
            with contextlib.suppress(NotFoundError):
                await client.jetstream().delete_stream(STREAM)

    async def publish(self, event_type: str, payload: bytes, attributes: Mapping[str, str]) -> None:
        async with self._client() as client:
            await client.jetstream().publish(event_type, payload, headers=to_headers(attributes) or None)

    def message_id(self, number: int) -> str:
        return f"{STREAM}/{number}"

    @contextlib.asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        client = await nats.connect(self.url)
        try:
            yield client
        finally:
            await client.close()


SERVERS: Final[Mapping[str, type[NatsServer]]] = {"nats": NatsServer}
"""The servers by the names of the adapters."""
