"""The SQL that erases users. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from mesh.database import Connection
from mesh.erased_users import ErasedUsers

ERASED_USERS: Final = ErasedUsers("erased_users", "user_name", timedelta(days=1))


async def erase(tx: Connection, user: str) -> Sequence[UUID]:
    """Deletes the conversations of a customer, and removes the name of a member of staff from those of others. Returns
    the conversations.
    """
    await ERASED_USERS.add(tx, user)
    own = await tx.fetch("DELETE FROM conversations WHERE customer = $1 RETURNING uid", user)
    await tx.execute("UPDATE messages SET sender = '', request_id = NULL WHERE sender = $1 AND from_staff", user)
    await tx.execute("DELETE FROM open_streams WHERE user_name = $1", user)
    others = await tx.fetch("DELETE FROM participants WHERE user_name = $1 RETURNING conversation_uid AS uid", user)
    return [row["uid"] for row in (*own, *others)]
