"""The SQL that erases users. Every function runs in its caller's transaction."""

from datetime import timedelta
from typing import Final

from mesh.database import Connection, lock_key

REMEMBERED_FOR: Final = timedelta(days=1)
"""For longer than any token lasts."""

PURGED_PER_CALL_MAX: Final = 2
"""More than the one row that an erasure may add, so that the table stays bounded."""


async def is_erased(tx: Connection, user: str) -> bool:
    """Returns whether a user was erased. The answer stays true until the end of the transaction, because an erasure
    waits for that. Call it before rows are locked.
    """
    await lock_key(tx, "erased_users", user, shared=True)
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM erased_users WHERE user_name = $1)", user))


async def erase(tx: Connection, user: str) -> None:
    """Removes a user's name from adjustments, which are kept, and forgets some users who were erased long ago."""
    await lock_key(tx, "erased_users", user)
    await tx.execute(
        """
        DELETE FROM erased_users WHERE user_name IN (
            SELECT user_name FROM erased_users WHERE erase_time <= now() - $1::interval ORDER BY erase_time LIMIT $2
            FOR UPDATE SKIP LOCKED
        )
        """,
        REMEMBERED_FOR,
        PURGED_PER_CALL_MAX,
    )
    await tx.execute("INSERT INTO erased_users VALUES ($1, now()) ON CONFLICT DO NOTHING", user)
    await tx.execute("UPDATE adjustments SET actor = '' WHERE actor = $1 AND actor <> ''", user)
