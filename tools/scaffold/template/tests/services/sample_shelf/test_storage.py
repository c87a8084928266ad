"""Sample notes in a real PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from mesh.database import Database
from mesh.pagination import read_page
from services.sample_shelf import storage
from services.sample_shelf.domain import Details, SampleNote

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def created(owner: str = "users/ada", *, at: datetime = NOW) -> SampleNote:
    """Returns a sample note in its first version."""
    return SampleNote.create(uuid4(), owner, Details("Grün 🌱", "Line 1\nLine 2"), at)


async def insert(database: Database, *sample_notes: SampleNote) -> None:
    """Inserts sample notes, each in its own transaction."""
    for each in sample_notes:
        async with database.transaction() as tx:
            await storage.insert(tx, each)


async def test_it_is_read_as_it_was_written(database: Database) -> None:
    """Every value is read back as it was written, also after an update."""
    first = created()
    await insert(database, first)
    second = first.update(Details("Second", ""), "", NOW + timedelta(days=1)).delete("", NOW + timedelta(days=2))
    async with database.transaction() as tx:
        assert await storage.find(tx, first.uid, lock=True) == first
        await storage.update(tx, second)
        assert await storage.find(tx, first.uid) == second
        assert await storage.find(tx, uuid4()) is None


async def test_a_list_has_pages_of_the_newest_first(database: Database) -> None:
    """Pages contain each of the user's sample notes once, without deleted ones, newest first."""
    mine = [created(at=NOW + timedelta(seconds=number // 2)) for number in range(5)]
    await insert(database, *mine, created("users/bob"), created().delete("", NOW))
    listed: list[SampleNote] = []
    token, pages = "", 0
    while token or not pages:
        page = read_page(2, token, query=("test",), key_types=storage.LIST_KEY_TYPES)
        async with database.transaction() as tx:
            found, token = await storage.list_sample_notes(tx, "users/ada", page)
        listed, pages = [*listed, *found], pages + 1
    assert pages == 3
    assert listed == sorted(mine, key=lambda each: (each.create_time, each.uid), reverse=True)


async def test_changes_are_read_in_their_order(database: Database) -> None:
    """Each one of the user, including deleted ones, is read once, at the position of its last change."""
    first, second = created(), created()
    await insert(database, first, created("users/bob"), second)
    async with database.transaction() as tx:
        [(start, _), _] = await storage.list_changes(tx, "users/ada", None)
        deleted = first.delete("", NOW)
        await storage.update(tx, deleted)
    async with database.transaction() as tx:
        changes = await storage.list_changes(tx, "users/ada", (start,))
        assert [each for _, each in changes] == [second, deleted]
        assert await storage.list_changes(tx, "users/ada", (changes[-1][0],)) == []


async def test_a_later_commit_is_a_later_change(database: Database) -> None:
    """A second writer waits for the first, so that no reader skips a change that is committed late."""
    first, second = created(), created()
    async with database.transaction() as tx:
        await storage.insert(tx, first)
        other = asyncio.create_task(insert(database, second))
        async with database.transaction() as watching:
            while not await watching.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
    await other
    async with database.transaction() as tx:
        assert [each for _, each in await storage.list_changes(tx, "users/ada", None)] == [first, second]
