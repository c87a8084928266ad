"""The limit on connections for one kind of call."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mesh.database import Database
from mesh.errors import ResourceExhausted
from mesh.settings import DatabaseSettings
from services.catalog import database_share
from services.catalog.database_share import DatabaseShare


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Opens a database with three connections."""
    async with Database.open(DatabaseSettings(database_url=database_url, database_pool_size=3), "test") as database:
        yield database


async def hold(share: DatabaseShare, held: asyncio.Event) -> None:
    """Holds a connection until cancelled."""
    async with share.transaction() as tx:
        held.set()
        await tx.execute("SELECT pg_sleep(30)")


async def test_other_calls_find_a_connection(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred calls of one kind, two run; the others wait, and then fail because there are too many."""
    monkeypatch.setattr(database_share, "WAIT_S", 0.2)
    share = DatabaseShare(database, connections_max=2, statement_timeout_s=20)
    holding = [asyncio.create_task(hold(share, asyncio.Event())) for _ in range(100)]
    rejected: set[asyncio.Task[None]] = set()
    async with asyncio.timeout(30):
        while len(rejected) < 98:
            rejected, _ = await asyncio.wait(holding, timeout=0.1)
    running = set(holding) - rejected
    assert len(running) == 2
    assert all(isinstance(each.exception(), ResourceExhausted) for each in rejected)
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT 1") == 1
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    async with share.transaction() as first, share.transaction() as second:
        assert await first.fetchval("SELECT 1") + await second.fetchval("SELECT 1") == 2


async def test_a_share_leaves_a_connection_to_others(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is lower than the pool's size, even if a larger one was requested."""
    monkeypatch.setattr(database_share, "WAIT_S", 0.05)
    share = DatabaseShare(database, connections_max=10, statement_timeout_s=20)
    async with share.transaction(), share.transaction():
        with pytest.raises(ResourceExhausted):
            async with share.transaction():
                pass
        async with database.transaction() as tx:
            assert await tx.fetchval("SELECT 1") == 1


async def test_a_statement_of_the_kind_has_its_own_limit(database: Database) -> None:
    """The shorter one of the share's and the database's timeouts applies."""
    share = DatabaseShare(database, connections_max=1, statement_timeout_s=0.05)
    with pytest.raises(ResourceExhausted) as caught:
        async with share.transaction() as tx:
            await tx.execute("SELECT pg_sleep(30)")
    assert caught.value.reason == "DATABASE_TIMEOUT"
