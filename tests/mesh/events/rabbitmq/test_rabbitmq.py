"""The adapter and a RabbitMQ that is frozen, or has no room."""

import asyncio
import os
import signal
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import aio_pika
import aiormq
import pytest
from pamqp import commands as spec

import local.rabbitmq
from local.rabbitmq import RabbitMQServer as RabbitMQNode
from mesh.errors import Unavailable
from mesh.events import Broker, connect
from mesh.events.outbox import EVENT_SIZE_BYTES_MAX
from mesh.events.rabbitmq import connection
from mesh.events.rabbitmq.provision import provision
from mesh.events.rabbitmq.subscription import RabbitMQSubscription
from tests.broker import RABBITMQ_ADMIN
from tests.mesh.events.test_broker import NOTE, OTHER, event, publish, subscribe, take, text

CONSUMERS = {"test": [NOTE], "others": [OTHER]}
WITHOUT_MEMORY = f"{local.rabbitmq.CONFIGURATION}vm_memory_high_watermark.absolute = 1MB\n"


@pytest.fixture(scope="module")
async def shared_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitMQNode]:
    """Starts a broker for this module: do not stop it."""
    async with RabbitMQNode(tmp_path_factory.mktemp("rabbitmq"), [RABBITMQ_ADMIN]) as server:
        await provision(server.url(RABBITMQ_ADMIN.name), [NOTE, OTHER], CONSUMERS)
        yield server


@pytest.fixture
async def server(shared_server: RabbitMQNode) -> RabbitMQNode:
    """Returns the broker, in which no event waits for "test"."""
    url = shared_server.url(RABBITMQ_ADMIN.name)
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await (await channel.get_queue("test")).purge()
    return shared_server


async def try_until_unavailable(broker: Broker, lost: asyncio.Event) -> None:
    """Publishes again and again until the connection was lost, as a relay does."""
    while not lost.is_set():
        try:
            await broker.publish(event("a", OTHER))
        except Unavailable as error:
            if isinstance(error.__cause__, ConnectionError):
                lost.set()
        await asyncio.sleep(0)


async def test_a_broker_that_is_frozen_is_unavailable(server: RabbitMQNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Publishers that wait when the connection is given up see a failure, and are not cancelled; they go on later."""
    monkeypatch.setattr(connection, "HEARTBEAT_S", 1)
    # What they have sent meanwhile may arrive later: no other test has this type.
    async with connect(server.url(RABBITMQ_ADMIN.name), "test") as broker:
        await publish(broker, event("a", OTHER))
        os.kill(server.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(60):
                lost = asyncio.Event()
                await asyncio.gather(*(try_until_unavailable(broker, lost) for _ in range(5)))
        finally:
            os.kill(server.pid, signal.SIGCONT)
        await publish(broker, event("b", OTHER))


async def test_a_connection_is_collected_in_silence(server: RabbitMQNode) -> None:
    """One that RabbitMQ did not let close, because it lacks memory, may be collected where no event loop runs."""
    opened = await connection.open_connection(server.url(RABBITMQ_ADMIN.name), "test")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        await asyncio.to_thread(opened.__del__)  # type: ignore[attr-defined] # of the library's class
    assert found == []
    await opened.close()


async def test_events_are_consumed_while_none_can_be_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker without memory or disk space gets room again by what its consumers acknowledge."""
    server = RabbitMQNode(tmp_path, [RABBITMQ_ADMIN])
    async with server:
        url = server.url(RABBITMQ_ADMIN.name)
        await provision(url, [NOTE, OTHER], CONSUMERS)
        async with connect(url, "test") as broker:
            await publish(broker, *map(event, "abc"))
    monkeypatch.setattr(local.rabbitmq, "CONFIGURATION", WITHOUT_MEMORY)
    monkeypatch.setattr(connection, "REQUEST_TIMEOUT_S", 1.0)  # a connection that has published is not let close
    async with server:
        async with connect(url, "test") as broker:
            with pytest.raises(Unavailable):
                await broker.publish(event("d"))
            subscription = await subscribe(broker)
            taken = []
            for _ in "abc":
                taken.append(text(await take(subscription)))
                await subscription.ack()
        assert taken == ["a", "b", "c"]
        async with connect(url, "test") as broker:
            assert await (await subscribe(broker)).next() == (), "the broker has their acknowledgements"


async def test_a_message_that_is_larger_than_any_event_is_refused(server: RabbitMQNode) -> None:
    """No service fills the memory of others; the largest event is delivered."""
    async with connect(server.url(RABBITMQ_ADMIN.name), "test") as broker:
        with pytest.raises(Unavailable):
            await broker.publish(replace(event("a"), payload=bytes(8 * EVENT_SIZE_BYTES_MAX)))
        largest = replace(event("a"), payload=bytes(EVENT_SIZE_BYTES_MAX))
        await publish(broker, largest)
        subscription = await subscribe(broker)
        assert (await take(subscription)).payload == largest.payload
        await subscription.ack()


async def test_a_consumer_that_is_gone_without_a_word_is_noticed(
    server: RabbitMQNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ 3.10 may forget the consumers of a queue that is deleted and declared again. Here ours is cancelled
    behind the back of the client library, and the queue stays.
    """
    monkeypatch.setattr("mesh.events.rabbitmq.subscription.WAIT_S", 0.2)
    connected = await connection.open_connection(server.url(RABBITMQ_ADMIN.name), "test")
    subscription = RabbitMQSubscription(connected, "test")
    await subscription.open()
    assert not await subscription.next(1)
    assert subscription._channel is not None
    channel = cast("aiormq.Channel", await subscription._channel.get_underlay_channel())
    await channel.rpc(spec.Basic.Cancel(consumer_tag=subscription._consumer_tag, nowait=True))
    with pytest.raises(Unavailable):
        await subscription.next(1)
    await subscription.close()
