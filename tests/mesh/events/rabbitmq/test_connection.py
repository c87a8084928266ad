"""Connections to RabbitMQ."""

import gc

import aio_pika
import pytest

from local.ports import free_port
from mesh.events.rabbitmq.connection import open_connection
from mesh.events.rabbitmq.failures import FAILURES


async def test_a_connection_that_could_not_be_opened_is_closed() -> None:
    """Nothing is left to the garbage collection, which may run where no event loop does."""
    port = free_port()
    with pytest.raises(FAILURES) as caught:
        await open_connection(f"amqp://guest:guest@127.0.0.1:{port}/", "test")
    # By type(): isinstance() would ask a weak proxy, whose object may be gone.
    connections = [each for each in gc.get_objects() if issubclass(type(each), aio_pika.Connection)]
    found = [connection for connection in connections if connection.url.port == port]
    assert [connection.is_closed for connection in found] == [True], caught.value
