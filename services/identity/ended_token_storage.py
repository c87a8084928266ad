"""The SQL of ended tokens and of their readers. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from mesh.database import Connection

CHANNEL = "ended_tokens"
PURGED_PER_CALL_MAX = 100
READERS_MAX = 1000
READER_LEAVES_AFTER = timedelta(seconds=60)  # more than twice the longest poll


@dataclass(frozen=True, slots=True)
class EndedToken:
    """An ended token. `sequence` is its position in the list."""

    sequence: int
    id: str
    expire_time: datetime


async def insert_ended(tx: Connection, token_id: str, expire_time: datetime) -> int:
    """Adds an entry, or extends it, and returns its sequence. It should be the last step of a transaction, because
    others wait until that ends.

    Only one transaction at a time adds entries, so that they become visible in the order of their sequences and no
    reader misses one. The last entry is kept until there is another, so that all replicas agree on the end of the list.
    """
    await tx.execute("LOCK TABLE ended_tokens IN SHARE ROW EXCLUSIVE MODE")
    await tx.execute(
        """
        DELETE FROM ended_tokens WHERE sequence IN (
            SELECT sequence FROM ended_tokens
            WHERE expire_time <= now() AND sequence < (SELECT max(sequence) FROM ended_tokens)
            ORDER BY expire_time LIMIT $1
        )
        """,
        PURGED_PER_CALL_MAX,
    )
    await tx.execute("DELETE FROM ended_tokens WHERE id = $1 AND expire_time < $2", token_id, expire_time)
    inserted = await tx.fetchval(
        "INSERT INTO ended_tokens (id, expire_time) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING RETURNING sequence",
        token_id,
        expire_time,
    )
    await tx.execute(f"NOTIFY {CHANNEL}")
    if inserted is None:
        inserted = await tx.fetchval("SELECT sequence FROM ended_tokens WHERE id = $1", token_id)
    return int(inserted)


async def count_ended(tx: Connection) -> int:
    """Returns the number of entries that have not expired. Nothing else deletes expired ones than insert_ended(), which
    a full list does not reach.
    """
    return int(await tx.fetchval("SELECT count(*) FROM ended_tokens WHERE expire_time > now()"))


async def read_ended(tx: Connection, after: int) -> tuple[datetime, int, Sequence[EndedToken]]:
    """Returns the time of the database, the last sequence (0 if there is none), and the entries after `after`.

    Each statement has a snapshot of its own. The last sequence is read first, because an entry that is committed
    between the two would otherwise count as read, and never be.
    """
    head = await tx.fetchrow("SELECT now() AS now, coalesce(max(sequence), 0) AS last FROM ended_tokens")
    assert head is not None, "aggregates have a row"
    rows = await tx.fetch(
        "SELECT sequence, id, expire_time FROM ended_tokens WHERE sequence > $1 ORDER BY sequence", after
    )
    entries = [EndedToken(row["sequence"], row["id"], row["expire_time"]) for row in rows]
    return head["now"], entries[-1].sequence if entries else head["last"], entries


async def acknowledge(tx: Connection, reader: UUID, seen: int) -> None:
    """Records the position of a reader, and deletes readers that have not polled for long."""
    await tx.execute("DELETE FROM ended_token_readers WHERE poll_time < now() - $1::interval", READER_LEAVES_AFTER)
    await tx.execute(
        """
        INSERT INTO ended_token_readers (id, seen, poll_time)
        SELECT $1, $2, now()
        WHERE (SELECT count(*) FROM ended_token_readers) < $3 OR EXISTS (SELECT FROM ended_token_readers WHERE id = $1)
        ON CONFLICT (id) DO UPDATE SET seen = excluded.seen, poll_time = excluded.poll_time
        """,
        reader,
        seen,
        READERS_MAX,
    )


async def count_behind(tx: Connection, sequence: int) -> int:
    """Returns the number of readers that have not read up to this sequence."""
    return int(await tx.fetchval("SELECT count(*) FROM ended_token_readers WHERE seen < $1", sequence))


async def forget_behind(tx: Connection, sequence: int) -> int:
    """Deletes the readers that have not read up to this sequence, until they poll again; returns their number."""
    query = "WITH gone AS (DELETE FROM ended_token_readers WHERE seen < $1 RETURNING 1) SELECT count(*) FROM gone"
    return int(await tx.fetchval(query, sequence))
