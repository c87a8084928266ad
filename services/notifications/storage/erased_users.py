"""The table of erased users, as keyed hashes: an event about one of them may still arrive."""

from datetime import timedelta

from mesh.database import Connection
from mesh.events.broker import EVENT_AGE_S_MAX

KEPT_FOR = timedelta(seconds=2 * EVENT_AGE_S_MAX)
PURGED_PER_CALL_MAX = 2  # more than the one row that a call may add, so that the table stays bounded


async def add(tx: Connection, user_hash: bytes) -> None:
    """Remembers that a user is gone, for as long as events about the user may arrive."""
    await tx.execute(
        """
        DELETE FROM erased_users WHERE user_hash IN (
            SELECT user_hash FROM erased_users WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_CALL_MAX,
    )
    await tx.execute(
        "INSERT INTO erased_users (user_hash, expire_time) VALUES ($1, now() + $2) ON CONFLICT DO NOTHING",
        user_hash,
        KEPT_FOR,
    )


async def contains(tx: Connection, user_hash: bytes) -> bool:
    """Returns whether a user is gone."""
    query = "SELECT EXISTS (SELECT FROM erased_users WHERE user_hash = $1)"
    found: bool = await tx.fetchval(query, user_hash)
    return found
