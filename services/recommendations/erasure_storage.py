"""The SQL that erases users. Every function runs in its caller's transaction."""

from datetime import datetime, timedelta
from typing import Final

from mesh.database import Connection
from mesh.erased_users import ErasedUsers
from services.recommendations import basket_storage, exposure_storage

REMEMBERED_FOR: Final = timedelta(days=30)
"""For longer than a broker keeps an event, and than a token is valid: nothing about the user arrives later."""

PURGED_PER_CALL_MAX: Final = 100

_ERASED_USERS: Final = ErasedUsers("erased_users", "user_name", REMEMBERED_FOR)


async def is_erased(tx: Connection, user: str) -> bool:
    """Returns whether a user was erased. The answer stays true until the end of the transaction, because an erasure
    waits for that.
    """
    await _ERASED_USERS.lock(tx, user, shared=True)
    return await _ERASED_USERS.contains(tx, user)


async def erase(tx: Connection, user: str, now: datetime) -> None:
    """Erases a user. Baskets still count, but are nobody's."""
    await _ERASED_USERS.lock(tx, user)
    await tx.execute("INSERT INTO erased_users VALUES ($1, $2) ON CONFLICT DO NOTHING", user, now)
    await basket_storage.forget(tx, user)
    await exposure_storage.delete_of(tx, user)


async def purge(tx: Connection, now: datetime) -> int:
    """Deletes users who need no longer be remembered, at most PURGED_PER_CALL_MAX. Returns their number."""
    query = """
        WITH purged AS (
            DELETE FROM erased_users WHERE user_name IN (
                SELECT user_name FROM erased_users WHERE erase_time < $1 ORDER BY erase_time LIMIT $2
            ) RETURNING 1
        ) SELECT count(*) FROM purged
    """
    purged: int = await tx.fetchval(query, now - REMEMBERED_FOR, PURGED_PER_CALL_MAX)
    return purged
