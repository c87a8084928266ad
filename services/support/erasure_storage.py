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

    Rows of others are locked in the order in which everybody locks them: conversations, then open streams, then
    participants. No stream is opened in a locked conversation, because of its foreign key.
    """
    await ERASED_USERS.add(tx, user)
    own = await tx.fetch("SELECT uid FROM conversations WHERE customer = $1 ORDER BY uid FOR UPDATE", user)
    await _delete_open_streams(tx, user)
    others = await tx.fetch("SELECT conversation_uid AS uid FROM participants WHERE user_name = $1", user)
    await _delete_participants(tx, user)
    # Only the erasures of customers and of staff change messages. They wait for each other at the participants, which
    # all who post are: none is missed, neither here nor below.
    await erase_in_parts(
        tx,
        user,
        find="""
        SELECT messages.ctid FROM messages JOIN conversations ON uid = conversation_uid WHERE customer = $1
        """,
        erase="DELETE FROM messages WHERE ctid = ANY($1::tid[])",
    )
    await erase_in_parts(
        tx,
        user,
        find="SELECT uid FROM conversations WHERE customer = $1",
        erase="DELETE FROM conversations WHERE uid = ANY($1::uuid[])",
    )
    await erase_in_parts(
        tx,
        user,
        find="SELECT ctid FROM messages WHERE sender = $1 AND from_staff",
        erase="UPDATE messages SET sender = '', request_id = NULL WHERE ctid = ANY($1::tid[])",
    )
    return [row["uid"] for row in (*own, *others)]


async def _delete_open_streams(tx: Connection, user: str) -> None:
    """Deletes the streams of a user, and those of others in the conversations of a customer."""
    await tx.execute(
        """
        DELETE FROM open_streams WHERE uid = ANY(ARRAY(
            SELECT uid FROM open_streams WHERE uid IN (
                SELECT uid FROM open_streams WHERE user_name = $1
                UNION SELECT open.uid FROM open_streams AS open
                JOIN conversations ON conversations.uid = conversation_uid WHERE customer = $1
            ) ORDER BY uid FOR UPDATE
        ))
        """,
        user,
    )


async def _delete_participants(tx: Connection, user: str) -> None:
    """Deletes the participants of the conversations of a customer, and the user from those of others. A user may take
    part in hundreds of thousands, so they are locked and deleted in parts.
    """
    await erase_in_parts(
        tx,
        user,
        find="""
        WITH erased AS (
            SELECT conversation_uid, user_name FROM conversations JOIN participants ON conversation_uid = uid
            WHERE customer = $1
            UNION SELECT conversation_uid, user_name FROM participants WHERE user_name = $1
        )
        SELECT participants.ctid FROM participants JOIN erased USING (conversation_uid, user_name)
        ORDER BY conversation_uid, user_name COLLATE "C" FOR UPDATE OF participants
        """,
        erase="DELETE FROM participants WHERE ctid = ANY($1::tid[])",
    )
