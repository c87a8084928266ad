"""The SQL that erases users. Every function runs in its caller's transaction."""

from datetime import timedelta
from typing import Final

from mesh.database import Connection
from mesh.erased_users import ErasedUsers

ERASED_USERS: Final = ErasedUsers("erased_users", "user_name", timedelta(days=1))


async def erase(tx: Connection, user: str) -> None:
    """Removes a user's name from adjustments, which are kept."""
    await ERASED_USERS.lock(tx, user)
    await ERASED_USERS.add(tx, user)
    await tx.execute("UPDATE adjustments SET actor = '' WHERE actor = $1 AND actor <> ''", user)
