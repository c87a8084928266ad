"""The SQL of the users that facts are about: numbers that stand for them, until they are deleted."""

import hashlib
from datetime import timedelta
from typing import Final

from mesh.database import Connection, lock_key

ERASURE_KEPT_FOR: Final = timedelta(days=30)
"""For longer than a broker keeps an event: none about the user arrives later."""

PURGED_PER_ERASURE_MAX: Final = 2


async def person_of(tx: Connection, user: str) -> int | None:
    """Returns the number that stands for a user ("users/{uid}"), None if the user was erased."""
    person: int | None = await tx.fetchval("SELECT person FROM people WHERE user_name = $1", user)
    if person is not None:
        return person
    await _lock(tx, user)
    if await tx.fetchval("SELECT true FROM erased_users WHERE name_hash = $1", _hash(user)):
        return None
    query = """
        INSERT INTO people (user_name) VALUES ($1)
        ON CONFLICT (user_name) DO UPDATE SET user_name = excluded.user_name RETURNING person
    """
    inserted: int = await tx.fetchval(query, user)
    return inserted


async def find_person(tx: Connection, user: str) -> int | None:
    """Returns the number that stands for a user, None if there is none."""
    person: int | None = await tx.fetchval("SELECT person FROM people WHERE user_name = $1", user)
    return person


async def erase(tx: Connection, user: str) -> None:
    """Erases a user: every fact about the user becomes anonymous, and so do those that arrive later."""
    await _lock(tx, user)
    await tx.execute(
        """
        DELETE FROM erased_users WHERE name_hash IN (
            SELECT name_hash FROM erased_users WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_ERASURE_MAX,
    )
    query = """
        INSERT INTO erased_users (name_hash, expire_time) VALUES ($1, now() + $2)
        ON CONFLICT (name_hash) DO UPDATE SET expire_time = excluded.expire_time
    """
    await tx.execute(query, _hash(user), ERASURE_KEPT_FOR)
    await tx.execute("DELETE FROM people WHERE user_name = $1", user)


async def _lock(tx: Connection, user: str) -> None:
    # An erasure and the first fact about a user may run at the same time: the later one has to see the earlier's rows.
    await lock_key(tx, "people", user)


def _hash(user: str) -> bytes:
    return hashlib.sha256(user.encode()).digest()
