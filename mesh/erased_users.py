"""The users whose accounts were deleted, as a service remembers them: nothing may name them afterwards."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from mesh.database import Connection, lock_key
from mesh.errors import Unauthenticated

ERASED_USER: Final = "users/-"
"""The name in the place of one that was erased."""

PURGED_PER_CALL_MAX: Final = 2
"""More than the one row that an erasure may add, so that the table stays bounded."""

ERASED_PER_STATEMENT_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class ErasedUsers:
    """The erased users in a table of a service: their names in `column`, its primary key, and the indexed time
    `erase_time`. `remembered_for` is longer than their tokens, streams and events last.

    Every method runs in its caller's transaction.
    """

    table: str
    column: str
    remembered_for: timedelta

    async def lock(self, tx: Connection, user: str, *, shared: bool = False) -> None:
        """Locks a user until the transaction ends. Transactions that share the lock do not wait for each other. Take it
        before the locks of rows.
        """
        await lock_key(tx, self.table, user, shared=shared)

    async def contains(self, tx: Connection, user: str) -> bool:
        """Returns whether a user was erased. If the transaction has locked the user, the answer stays true until its
        end.
        """
        return bool(await tx.fetchval(f"SELECT EXISTS (SELECT FROM {self.table} WHERE {self.column} = $1)", user))

    async def check_caller(self, tx: Connection, user: str) -> None:
        """Raises Unauthenticated if the caller of a method was erased. Shares the lock of the user."""
        await self.lock(tx, user, shared=True)
        if await self.contains(tx, user):
            raise erased_caller()

    async def add(self, tx: Connection, user: str) -> None:
        """Remembers that a user was erased, and forgets some who were long ago. The transaction must have locked the
        user.
        """
        await tx.execute(
            f"""
            DELETE FROM {self.table} WHERE {self.column} IN (
                SELECT {self.column} FROM {self.table} WHERE erase_time <= now() - $1::interval
                ORDER BY erase_time LIMIT $2 FOR UPDATE SKIP LOCKED
            )
            """,
            self.remembered_for,
            PURGED_PER_CALL_MAX,
        )
        await tx.execute(f"INSERT INTO {self.table} VALUES ($1, now()) ON CONFLICT DO NOTHING", user)


async def erase_in_parts(tx: Connection, user: str, *, find: str, erase: str) -> None:
    """Runs the statement `erase` for the rows of a user whose keys the query `find` returns. A key may be the `ctid`,
    which no other row gets while the cursor is open; `erase` then misses the rows that others change meanwhile, unless
    `find` locks them.

    A user may have hundreds of thousands: more than one statement can erase within its time limit.
    """
    cursor = await tx.cursor(find, user)
    while rows := await cursor.fetch(ERASED_PER_STATEMENT_MAX):
        await tx.execute(erase, [key for (key,) in rows])


def erased_caller() -> Unauthenticated:
    """Returns the error of a caller whose account was deleted, and whose access token is still valid."""
    return Unauthenticated("The user of this access token was deleted.", reason="TOKEN_REVOKED")
