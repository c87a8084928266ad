"""Connections to RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aio_pika
from aio_pika.abc import AbstractConnection, TimeoutType
from aio_pika.exceptions import ChannelNotFoundEntity
from pamqp import decode
from pamqp.common import FieldTable
from yarl import URL

from mesh.background import uncancelled
from mesh.events.rabbitmq.decoders import DECODERS
from mesh.events.rabbitmq.failures import FAILURES

CONNECT_TIMEOUT_S = 2.0
HEARTBEAT_S = 10  # two missed ones end the connection
REQUEST_TIMEOUT_S = 3.0

decode.METHODS.update(DECODERS)


@asynccontextmanager
async def best_effort() -> AsyncIterator[None]:
    """Ends the block after REQUEST_TIMEOUT_S, and suppresses FAILURES in it: for a request whose failure costs nothing,
    or is seen by the next one.
    """
    with suppress(*FAILURES), uncancelled():
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            yield


class _Connection(aio_pika.Connection):
    """A connection that is closed by those who open it, and at once if it can't be opened."""

    async def connect(self, timeout: TimeoutType = None) -> None:
        """Connects. Raises one of FAILURES."""
        try:
            await super().connect(timeout)
        except BaseException:
            async with best_effort():
                await self.close()
            raise

    def __del__(self) -> None:
        """Does nothing. The library would close a connection here that RabbitMQ did not let close before, even where no
        event loop runs.
        """


async def open_connection(url: str, name: str) -> AbstractConnection:
    """Returns a connection, which is not established again once it is lost. Raises one of FAILURES."""
    address = URL(url).update_query(heartbeat=HEARTBEAT_S)
    properties: FieldTable = {"connection_name": name}
    return await aio_pika.connect(
        address, timeout=CONNECT_TIMEOUT_S, client_properties=properties, connection_class=_Connection
    )


async def exists(connection: AbstractConnection, *, exchange: str = "", queue: str = "") -> bool:
    """Returns whether an exchange or a queue exists. Raises one of FAILURES.

    The question has a channel of its own, because RabbitMQ closes it if the answer is no.
    """
    async with asyncio.timeout(REQUEST_TIMEOUT_S), connection.channel(publisher_confirms=False) as channel:
        try:
            if exchange:
                await channel.declare_exchange(exchange, passive=True)
            if queue:
                await channel.declare_queue(queue, passive=True)
        except ChannelNotFoundEntity:
            return False
    return True
