"""The users of a service who were erased."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from mesh.database import Database
from mesh.erased_users import ErasedUsers
from mesh.errors import Unauthenticated

ERASED = ErasedUsers("gone", "person", timedelta(days=1))


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """Creates the table of a service, with five users who were erased long ago."""
    database = await open_database()
    async with database.transaction() as tx:
        await tx.execute("CREATE TABLE gone (person text PRIMARY KEY, erase_time timestamptz NOT NULL)")
        await tx.execute(
            "INSERT INTO gone SELECT 'users/' || n, now() - interval '2 days' - n * interval '1 s' "
            "FROM generate_series(1, 5) AS n"
        )
    return database


async def test_an_erased_caller_is_rejected(database: Database) -> None:
    """Another one is not, and being erased twice changes nothing."""
    async with database.transaction() as tx:
        await ERASED.check_caller(tx, "users/ada")
    for _ in range(2):
        async with database.transaction() as tx:
            await ERASED.lock(tx, "users/ada")
            await ERASED.add(tx, "users/ada")
    async with database.transaction() as tx:
        await ERASED.check_caller(tx, "users/eve")
        with pytest.raises(Unauthenticated) as raised:
            await ERASED.check_caller(tx, "users/ada")
    assert raised.value.reason == "TOKEN_REVOKED"


async def test_an_erasure_forgets_the_oldest_ones(database: Database) -> None:
    """Two are forgotten for each one that is added, so that the table stays bounded."""
    async with database.transaction() as tx:
        await ERASED.add(tx, "users/ada")
        rows = await tx.fetch("SELECT person FROM gone ORDER BY person")
    assert [row["person"] for row in rows] == ["users/1", "users/2", "users/3", "users/ada"]
