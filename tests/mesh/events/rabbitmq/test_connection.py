"""Connections to RabbitMQ."""

import aio_pika
import pytest

from local.ports import free_port
from mesh.events.rabbitmq.connection import open_connection
from mesh.events.rabbitmq.failures import FAILURES
from tests.garbage import living


async def test_a_connection_that_could_not_be_opened_is_closed() -> None:
    """Nothing is left to the garbage collection, which may run where no event loop does."""
    port = free_port()
    with pytest.raises(FAILURES) as caught:
        await open_connection(f"amqp://guest:guest@127.0.0.1:{port}/", "test")
    found = [connection for connection in living(aio_pika.Connection) if connection.url.port == port]
    assert [connection.is_closed for connection in found] == [True], caught.value
