"""Provisioning of exchanges and queues."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pytest
from protobuf.wkt import FileDescriptorSet

from local.rabbitmq import RabbitMQServer
from mesh.contract.events import participants
from mesh.errors import Unavailable
from mesh.events.envelope import Envelope
from mesh.events.rabbitmq.connection import exists
from mesh.events.rabbitmq.provision import provision
from mesh.events.rabbitmq.rabbitmq import RabbitMQ
from mesh.events.rabbitmq.topology import route
from mesh.events.rabbitmq.users import PROVISIONER, provisioner
from tests.broker import RABBITMQ_ADMIN
from tests.mesh.events.keep import KEEP

ROOT = Path(__file__).resolve().parents[4]
CONTRACTS = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes()).to_registry()
SERVICES = participants(CONTRACTS)
COMMAND = (sys.executable, "-m", "mesh.events.provision")
ONE, TWO = "meshwright.x.v1.One", "acme.x.v1.Two"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitMQServer]:
    """Starts a broker for this module. The queues of each test have names of their own."""
    folder = tmp_path_factory.mktemp("provision-rabbitmq")
    async with RabbitMQServer(folder, [RABBITMQ_ADMIN, provisioner(SERVICES)]) as server:
        yield server


async def delete_routes(server: RabbitMQServer) -> None:
    """Deletes what missing_routes() looks for."""
    async with await aio_pika.connect(server.url(RABBITMQ_ADMIN.name)) as connection, connection.channel() as channel:
        for service in SERVICES:
            for event in service.consumes:
                await channel.exchange_delete(route(service.name, event))


async def missing_routes(server: RabbitMQServer) -> list[str]:
    """Returns the subscriptions of the contracts to types of events that the broker does not have."""
    async with await aio_pika.connect(server.url(RABBITMQ_ADMIN.name)) as connection:
        routes = [route(service.name, event) for service in SERVICES for event in service.consumes]
        return [name for name in routes if not await exists(connection, exchange=name)]


async def received(broker: RabbitMQ, name: str) -> list[str]:
    """Returns the types of the events that wait for a subscription."""
    subscription = await broker.subscribe(name, [])
    types: list[str] = []
    while batch := await subscription.next():
        types += [delivery.event_type for delivery in batch]
        await subscription.ack()
    await subscription.close()
    return types


async def test_existing_queues_are_updated_and_none_is_deleted(server: RabbitMQServer) -> None:
    """A subscription gets its new types, no longer its old ones, and keeps its events."""
    url = server.url(RABBITMQ_ADMIN.name)
    await provision(url, [ONE, TWO], {"a": [ONE], "b": [ONE]})
    async with RabbitMQ(url, "x") as broker:
        for event_type in (ONE, TWO):
            await broker.publish(Envelope("1", event_type, "x", "x/1", datetime.now(UTC), b"", None))
        await provision(url, [ONE, TWO], {"a": [TWO]})
        for event_type in (ONE, TWO):
            await broker.publish(Envelope("2", event_type, "x", "x/1", datetime.now(UTC), b"", None))
        assert await received(broker, "a") == [ONE, TWO]
        assert await received(broker, "b") == [ONE, ONE]
        with pytest.raises(Unavailable, match=f"The consumer a does not deliver {ONE}"):
            await broker.subscribe("a", [ONE, TWO])


async def test_an_existing_queue_of_another_kind_is_an_error(server: RabbitMQServer) -> None:
    """Two subscribers of a queue without a single active consumer would get events out of order."""
    url = server.url(RABBITMQ_ADMIN.name)
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await channel.declare_queue("other-kind", durable=True)
    with pytest.raises(Unavailable) as caught:
        await provision(url, [ONE], {"other-kind": [ONE]})
    assert "inequivalent arg" in str(caught.value.__cause__)


async def test_the_command_provisions_the_broker_for_the_contracts(server: RabbitMQServer) -> None:
    """With the permissions of the provisioner the command succeeds, and can be repeated."""
    await delete_routes(server)
    assert await missing_routes(server)
    for _ in range(2):
        done = await asyncio.to_thread(
            subprocess.run, COMMAND, env=environment(server), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert await missing_routes(server) == []


async def test_lost_data_is_provisioned_again(
    server: RabbitMQServer, eventually: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
) -> None:
    """With --keep the command runs until SIGTERM, and restores what gets lost."""
    await delete_routes(server)
    process = await asyncio.create_subprocess_exec(*KEEP, env=environment(server), stdout=subprocess.DEVNULL)

    async def provisioned() -> bool:
        return not await missing_routes(server)

    try:
        await eventually(provisioned)
        consumer = next(service for service in SERVICES if service.consumes)
        async with await aio_pika.connect(server.url(RABBITMQ_ADMIN.name)) as connection, connection.channel() as lost:
            await lost.exchange_delete(route(consumer.name, consumer.consumes[0]))
        await eventually(provisioned)
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()


def environment(server: RabbitMQServer) -> dict[str, str]:
    """Returns the variables that the command reads."""
    return {"BROKER_URL": server.url(PROVISIONER), "PYTHONPATH": ".:gen"}
