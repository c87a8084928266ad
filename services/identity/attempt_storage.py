"""The SQL of failed sign-ins and known addresses. Every function runs in its caller's transaction."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from mesh.database import Connection

PURGED_PER_CALL_MAX = 10  # more than the three rows that an attempt may add, so that the table stays bounded
KNOWN_ADDRESSES_PER_USER_MAX = 20
KNOWN_FOR = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Counter:
    """The failures counted under a key, the end of the block, and the time when the counter expires."""

    failures: int
    blocked_until: datetime
    expire_time: datetime


async def lock_counters(tx: Connection, keys: Collection[str]) -> tuple[datetime, Mapping[str, Counter]]:
    """Locks the counters of these keys until the transaction ends. Returns the time of the database, and the counters;
    new and expired ones start at zero.
    """
    rows = await tx.fetch(
        """
        INSERT INTO sign_in_attempts AS counter (key, failures, blocked_until, expire_time)
        SELECT key, 0, now(), now() + interval '1 minute' FROM unnest($1::text[]) AS key
        ON CONFLICT (key) DO UPDATE
            SET failures = CASE WHEN counter.expire_time > now() THEN counter.failures ELSE 0 END
        RETURNING key, failures, blocked_until, expire_time
        """,
        sorted(keys),  # always in the same order, so that transactions can't deadlock
    )
    now = await tx.fetchval("SELECT clock_timestamp()")
    counters = {row["key"]: Counter(row["failures"], row["blocked_until"], row["expire_time"]) for row in rows}
    return now, counters


async def write_counters(tx: Connection, counters: Mapping[str, Counter]) -> None:
    """Writes counters that the transaction has locked, and deletes some expired ones."""
    await tx.executemany(
        "UPDATE sign_in_attempts SET failures = $2, blocked_until = $3, expire_time = $4 WHERE key = $1",
        [(key, each.failures, each.blocked_until, each.expire_time) for key, each in sorted(counters.items())],
    )
    await tx.execute(
        """
        DELETE FROM sign_in_attempts WHERE key IN (
            SELECT key FROM sign_in_attempts WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_CALL_MAX,
    )


async def take_back(tx: Connection, blocked_until: Mapping[str, datetime]) -> None:
    """Subtracts one failure under each of these keys, and lifts its block if that is still the one given here."""
    await tx.executemany(
        """
        UPDATE sign_in_attempts SET failures = greatest(failures - 1, 0),
               blocked_until = CASE WHEN blocked_until = $2 THEN now() ELSE blocked_until END
        WHERE key = $1
        """,
        sorted(blocked_until.items()),
    )


async def reset(tx: Connection, key: str) -> None:
    """Resets the counter of a key."""
    await tx.execute("UPDATE sign_in_attempts SET failures = 0, blocked_until = now() WHERE key = $1", key)


async def knows_address(tx: Connection, user_uid: UUID, address_hash: str) -> bool:
    """Returns whether this user has registered or signed in from this address before."""
    query = """
        SELECT EXISTS (SELECT FROM known_addresses WHERE user_uid = $1 AND address_hash = $2 AND expire_time > now())
    """
    return bool(await tx.fetchval(query, user_uid, address_hash))


async def remember_address(tx: Connection, user_uid: UUID, address_hash: str) -> None:
    """Records that an address is one of this user's, unless the user is deleted. Deletes the oldest ones beyond the
    limit.
    """
    if not await tx.fetchval("SELECT true FROM users WHERE uid = $1 FOR KEY SHARE", user_uid):
        return
    await tx.execute(
        """
        INSERT INTO known_addresses (user_uid, address_hash, expire_time) VALUES ($1, $2, now() + $3)
        ON CONFLICT (user_uid, address_hash) DO UPDATE SET expire_time = excluded.expire_time
        """,
        user_uid,
        address_hash,
        KNOWN_FOR,
    )
    await tx.execute(
        """
        DELETE FROM known_addresses WHERE user_uid = $1 AND (expire_time <= now() OR address_hash IN (
            SELECT address_hash FROM known_addresses WHERE user_uid = $1 ORDER BY expire_time DESC OFFSET $2
        ))
        """,
        user_uid,
        KNOWN_ADDRESSES_PER_USER_MAX,
    )
