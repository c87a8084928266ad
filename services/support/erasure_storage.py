"""The SQL that erases users. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import accumulate
from typing import Final
from uuid import UUID

from mesh.database import Connection
from mesh.erased_users import ErasedUsers
from services.support import storage

ERASED_USERS: Final = ErasedUsers("erased_users", "user_name", timedelta(days=1))


_READ_MAX: Final = 1_000
_MESSAGES_MAX: Final = 10_000  # those of one conversation at most (domain.MESSAGES_MAX) may be added

_OWN = "SELECT uid, message_count FROM conversations WHERE customer = $1 LIMIT $2"
_OTHERS = """
    SELECT uid, message_count FROM participants JOIN conversations ON uid = conversation_uid
    WHERE user_name = $1 LIMIT $2
"""


async def erase(tx: Connection, user: str) -> None:
    """Deletes the conversations of a customer, and removes the name of a member of staff from those of others. Wakes
    the streams of these conversations.

    A user may have any number of messages, and the time of a statement is limited, so that each changes some of them.
    """
    await ERASED_USERS.add(tx, user)
    await tx.execute("DELETE FROM open_streams WHERE user_name = $1", user)
    while own := await _some(tx, _OWN, user):
        await tx.execute("DELETE FROM conversations WHERE uid = ANY($1)", own)
        await storage.wake(tx, own)
    while others := await _some(tx, _OTHERS, user):
        query = """
            UPDATE messages SET sender = '', request_id = NULL
            WHERE conversation_uid = ANY($1) AND sender = $2 AND from_staff
        """
        await tx.execute(query, others, user)
        await tx.execute("DELETE FROM participants WHERE conversation_uid = ANY($1) AND user_name = $2", others, user)
        await storage.wake(tx, others)


async def _some(tx: Connection, query: str, user: str) -> Sequence[UUID]:
    """Returns conversations of a user that are few enough for one statement, an empty list if there are none."""
    rows = await tx.fetch(query, user, _READ_MAX)
    counts = accumulate((row["message_count"] for row in rows), initial=0)
    return [row["uid"] for row, count in zip(rows, counts, strict=False) if count < _MESSAGES_MAX]
