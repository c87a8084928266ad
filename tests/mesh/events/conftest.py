"""A broker without a past, a database with the mesh's tables, and handlers that leave a trail."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import nats
import pytest
from nats.js.errors import NotFoundError

from mesh.database import Database
from mesh.events import JetStream, publish
from mesh.events.provision import provision
from mesh.events.users import STREAM
from tests.mesh.messages import Note, Other

CONSUMERS = {"test": [Note.desc().type_name], "others": [Other.desc().type_name]}


@pytest.fixture
async def broker(nats_url: str) -> AsyncIterator[JetStream]:
    """The shared NATS with a new stream, of which "test" gets notes and "others" the rest."""
    client = await nats.connect(nats_url)
    with contextlib.suppress(NotFoundError):
        await client.jetstream().delete_stream(STREAM)
    await client.close()
    await provision(nats_url, CONSUMERS)
    async with JetStream(nats_url, "test") as broker:
        yield broker


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """The mesh's tables, and one in which handlers note what they did."""
    database = await open_database()
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE notes (n bigint GENERATED ALWAYS AS IDENTITY, aggregate text, text text)")
    return database


@pytest.fixture
def tell(database: Database) -> Callable[..., Awaitable[None]]:
    """Tells notes of an aggregate, each in a transaction of its own."""

    async def tell(aggregate: str, *texts: str) -> None:
        for text in texts:
            async with database.transaction() as tx:
                await publish(tx, Note(text=text), source="test", aggregate=aggregate)

    return tell


@pytest.fixture
def eventually() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Waits until a condition holds, which it must within half a minute."""

    async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(30):
            while not await condition():
                await asyncio.sleep(0.02)

    return eventually
