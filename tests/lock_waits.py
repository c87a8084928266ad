"""Sessions of PostgreSQL that wait for each other."""

from mesh.database import Database


async def lock_waits(database: Database) -> int:
    """Returns the number of sessions that wait for a lock, by a transaction of its own, because PostgreSQL's statistics
    do not change within one.
    """
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with database.transaction() as tx:
        count: int = await tx.fetchval(query)
        return count
