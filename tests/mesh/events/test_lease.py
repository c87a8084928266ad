"""The lease, by which one replica at a time does something."""

import asyncio

import pytest

from mesh.database import Database
from mesh.errors import Unavailable
from mesh.events import lease as lease_module
from mesh.events.lease import lease

LOCK = 42


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the pauses of the replicas that wait for the lease."""
    monkeypatch.setattr(lease_module, "TAKEOVER_PAUSE_S", 0.02)


async def test_one_holds_it_at_a_time(database: Database) -> None:
    """A second holder waits until the first has released the lease."""
    held: list[str] = []

    async def hold(name: str) -> None:
        async with lease(database, LOCK, 60.0) as session:
            assert not held
            held.append(name)
            await session.execute("SELECT pg_sleep(0.1)")
            held.remove(name)

    async with asyncio.timeout(30):
        await asyncio.gather(*map(hold, "abc"))


async def test_one_that_does_nothing_loses_it(database: Database) -> None:
    """A process that is suspended or cut off loses the lease, and its session is closed when it comes back."""

    async def stop_for_a_while() -> None:
        async with lease(database, LOCK, 0.2) as session:
            async with asyncio.timeout(30), lease(database, LOCK, 60.0) as successor:
                assert await successor.fetchval("SELECT true")
            await session.execute("SELECT true")

    with pytest.raises(Unavailable):
        await stop_for_a_while()
