"""Events while all processes are killed."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from mesh.errors import MeshError
from mesh.events import Event, Inbox, Relay, publish
from mesh.events.retries import Retries
from mesh.migrations import MESH_FOLDER, migrate
from mesh.settings import DatabaseSettings
from tests.mesh.events.brokers import BrokerServer
from tests.mesh.messages import Note

EVENTS = 200
AGGREGATES = 5


async def _note(tx: Connection, event: Event[Any]) -> None:
    if random.random() < 0.05:
        raise LookupError("a passing fault")
    await tx.execute("INSERT INTO notes (aggregate, text) VALUES ($1, $2)", event.aggregate, event.data.text)


async def _publish_all(database: Database) -> None:
    """Publishes every event, and repeats each until its transaction has been acknowledged."""
    for number in range(EVENTS):
        published = False
        while not published:
            with suppress(MeshError):
                async with database.transaction() as tx:
                    aggregate = f"notes/{number % AGGREGATES}"
                    new = "INSERT INTO published VALUES ($1) ON CONFLICT DO NOTHING RETURNING number"
                    if await tx.fetchval(new, number) is not None:
                        await publish(tx, Note(text=f"{number:03}"), source="test", aggregate=aggregate)
                published = True
            await asyncio.sleep(0.01)


async def _kill_in_turn(servers: list[BrokerServer | Postgres]) -> None:
    for server in servers:
        await asyncio.sleep(0.4)
        await server.kill()
        await asyncio.sleep(0.2)
        await server.start()


@pytest.mark.usefixtures("short_ack_wait")
async def test_every_event_takes_effect_once_and_in_order_despite_kills(
    adapter: str,
    server_folder: Path,
    own_server: BrokerServer,
    eventually: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]],
) -> None:
    """Database and broker are killed repeatedly: no event is lost, none takes effect twice, and aggregates keep their
    order.
    """
    await own_server.start()
    async with Postgres(server_folder / f"mortal-postgres-{adapter}") as postgres:
        await postgres.create_databases("mortal")
        await own_server.provision({"test": [Note.desc().type_name]})
        migrate(postgres.url("mortal"), [MESH_FOLDER])
        settings = DatabaseSettings(database_url=postgres.url("mortal"))
        retries = Retries(attempts_max=1000, pause_first_s=0.01, pause_max_s=0.02)
        async with (
            Database.open(settings, "test") as database,
            own_server.connect() as broker,
            Relay(database, broker),
            Inbox(database, broker, service="test", handlers={Note: _note}, retries=retries),
        ):
            async with database.transaction() as tx:
                await tx.execute(
                    "CREATE TABLE notes (n bigint GENERATED ALWAYS AS IDENTITY, aggregate text, text text)"
                )
                await tx.execute("CREATE TABLE published (number int PRIMARY KEY)")
            await asyncio.gather(_publish_all(database), _kill_in_turn([own_server, postgres, postgres, own_server]))

            async def all_noted() -> bool:
                async with database.transaction() as tx:
                    return bool(await tx.fetchval("SELECT count(DISTINCT text) FROM notes") == EVENTS)

            await eventually(all_noted)
            async with database.transaction() as tx:
                rows = await tx.fetch("SELECT aggregate, text FROM notes ORDER BY n")
    for number in range(AGGREGATES):
        noted = [row["text"] for row in rows if row["aggregate"] == f"notes/{number}"]
        assert noted == [f"{event:03}" for event in range(number, EVENTS, AGGREGATES)]
