"""The SQL that erases users. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from mesh.database import Connection, lock_key

REMEMBERED_FOR = timedelta(days=1)  # longer than any token or stream lasts
PURGED_PER_CALL_MAX = 2  # more than the one row that an erasure may add, so that the table stays bounded


async def lock_user(tx: Connection, user: str, *, shared: bool = False) -> None:
    """Makes transactions about the same user take turns, from here to their end; those that share the lock wait only
    for one that does not. Take it before the locks of rows.
    """
    await lock_key(tx, "erased_users", user, shared=shared)


async def is_erased(tx: Connection, user: str) -> bool:
    """Returns whether a user was erased. It is remembered for longer than the user's tokens and streams can last. If
    the transaction has locked the user, the answer stays true until its end.
    """
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM erased_users WHERE user_name = $1)", user))


async def erase(tx: Connection, user: str) -> Sequence[UUID]:
    """Deletes the conversations of a customer, and removes the name of a member of staff from those of others. Returns
    the conversations.
    """
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
    own = await tx.fetch("DELETE FROM conversations WHERE customer = $1 RETURNING uid", user)
    await tx.execute("UPDATE messages SET sender = '', request_id = NULL WHERE sender = $1 AND from_staff", user)
    await tx.execute("DELETE FROM open_streams WHERE user_name = $1", user)
    others = await tx.fetch("DELETE FROM participants WHERE user_name = $1 RETURNING conversation_uid AS uid", user)
    return [row["uid"] for row in (*own, *others)]
