"""The erasure of deleted users from conversations."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from mesh.database import Connection
from mesh.erased_users import ErasedUsers, erase_in_parts

ERASED_USERS: Final = ErasedUsers("erased_users", "user_name", timedelta(days=1))


async def erase(tx: Connection, user: str) -> Sequence[UUID]:
    """Deletes the conversations of a customer, and removes the name of a member of staff from those of others. Returns
    the conversations.
    """
    await ERASED_USERS.add(tx, user)
    await tx.execute("DELETE FROM open_streams WHERE user_name = $1", user)
    await _lock(tx, user)
    # Messages that the erasure of a member of staff changes meanwhile are missed, and deleted with their conversation.
    await erase_in_parts(
        tx,
        user,
        find="""
        SELECT messages.ctid FROM messages JOIN conversations ON uid = conversation_uid WHERE customer = $1
        """,
        erase="DELETE FROM messages WHERE ctid = ANY($1::tid[])",
    )
    own = await tx.fetch("DELETE FROM conversations WHERE customer = $1 RETURNING uid", user)
    # Only the erasure of a customer changes these messages meanwhile: it deletes them.
    await erase_in_parts(
        tx,
        user,
        find="SELECT ctid FROM messages WHERE sender = $1 AND from_staff",
        erase="UPDATE messages SET sender = '', request_id = NULL WHERE ctid = ANY($1::tid[])",
    )
    others = await tx.fetch("DELETE FROM participants WHERE user_name = $1 RETURNING conversation_uid AS uid", user)
    return [row["uid"] for row in (*own, *others)]


async def _lock(tx: Connection, user: str) -> None:
    """Locks the conversations of a customer, then the participants of these and of those in which the user takes part,
    in the order in which everybody else does: a customer and a member of staff may be erased at the same time.
    """
    await tx.execute("SELECT FROM conversations WHERE customer = $1 ORDER BY uid FOR UPDATE", user)
    await tx.execute(
        """
        WITH erased AS (
            SELECT conversation_uid, user_name FROM conversations JOIN participants ON conversation_uid = uid
            WHERE customer = $1
            UNION SELECT conversation_uid, user_name FROM participants WHERE user_name = $1
        )
        SELECT FROM participants JOIN erased USING (conversation_uid, user_name)
        ORDER BY conversation_uid, user_name COLLATE "C" FOR UPDATE OF participants
        """,
        user,
    )
