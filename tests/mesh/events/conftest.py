"""Fixtures: an empty broker for each adapter, a database with the mesh's tables, and handlers that record their
effects.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from mesh import background
from mesh.database import Database
from mesh.events import Broker, publish
from tests.mesh.events.brokers import SERVERS, BrokerServer
from tests.mesh.messages import Note, Other

SUBSCRIPTIONS = {"test": [Note.desc().type_name], "others": [Other.desc().type_name]}


@pytest.fixture(scope="session", params=sorted(SERVERS))
def adapter(request: pytest.FixtureRequest) -> str:
    """Returns the name of the adapter under test."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
async def shared_server(adapter: str, server_folder: Path) -> AsyncIterator[BrokerServer]:
    """Starts one server for all tests of an adapter in this process."""
    server = SERVERS[adapter](server_folder / f"events-{adapter}")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def short_ack_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has NATS repeat sooner what was not settled, in subscriptions that are provisioned from here on."""
    monkeypatch.setattr("mesh.events.nats.provision.ACK_WAIT_S", 2.0)


@pytest.fixture
async def server(shared_server: BrokerServer) -> BrokerServer:
    """Returns the emptied server: the subscription "test" gets notes, and "others" the rest."""
    await shared_server.empty(SUBSCRIPTIONS)
    return shared_server


@pytest.fixture
async def own_server(adapter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BrokerServer]:
    """Returns a server that a test may kill. It is not started. Those who wait for it look for it often."""
    monkeypatch.setattr(background, "PAUSE_MAX_S", 0.5)
    server = SERVERS[adapter](tmp_path)
    yield server
    await server.stop()


@pytest.fixture
async def broker(server: BrokerServer) -> AsyncIterator[Broker]:
    """Connects as the service "test"."""
    async with server.connect() as broker:
        yield broker


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """Creates the mesh's tables, and one in which handlers record their effects."""
    database = await open_database()
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE notes (n bigint GENERATED ALWAYS AS IDENTITY, aggregate text, text text)")
    return database


@pytest.fixture
def publish_notes(database: Database) -> Callable[..., Awaitable[None]]:
    """Publishes notes of an aggregate, each in a transaction of its own."""

    async def publish_each(aggregate: str, *texts: str) -> None:
        for text in texts:
            async with database.transaction() as tx:
                await publish(tx, Note(text=text), source="test", aggregate=aggregate)

    return publish_each


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Waits until a condition holds; fails after half a minute, and shows what all tasks wait for."""

    async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(30):
                while not await condition():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            for task in asyncio.all_tasks():
                task.print_stack(file=sys.stdout)
            raise

    return eventually
