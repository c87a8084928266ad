"""The SQL that erases users. Every function runs in its caller's transaction."""

from datetime import timedelta
from typing import Final

from mesh.database import Connection
from mesh.erased_users import ErasedUsers, erase_in_parts

ERASED_USERS: Final = ErasedUsers("erased_users", "user_name", timedelta(days=1))


async def erase(tx: Connection, user: str) -> None:
    """Removes a user's name from adjustments, which are kept."""
    await ERASED_USERS.lock(tx, user)
    await ERASED_USERS.add(tx, user)
    await erase_in_parts(
        tx,
        user,
        find="SELECT ctid FROM adjustments WHERE actor = $1 AND actor <> ''",
        erase="UPDATE adjustments SET actor = '' WHERE ctid = ANY($1::tid[])",
    )
