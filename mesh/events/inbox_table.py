"""The table of the inbox: received events, kept until long after they are done so that each takes effect once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mesh.database import Connection
from mesh.events.broker import EVENT_AGE_S_MAX
from mesh.events.envelope import Envelope

# A row that is done keeps a repeated event from taking effect again, so it must outlast the broker's copy.
KEPT_FOR = timedelta(seconds=2 * EVENT_AGE_S_MAX)
PURGED_PER_EVENT_MAX = 2  # more than the one row that each event adds, so that the table stays bounded
ERROR_LENGTH_MAX = 2000

_STORE = """
WITH purged AS (
    DELETE FROM mesh.inbox WHERE sequence IN (
        SELECT sequence FROM mesh.inbox WHERE state = 'done' AND finished_at < now() - $9::interval
        ORDER BY finished_at LIMIT $10 FOR UPDATE SKIP LOCKED
    )
)
INSERT INTO mesh.inbox (source, event_id, type, aggregate, time, payload, traceparent, request_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (source, event_id) DO NOTHING
"""
# The first pending event of an aggregate, due or not, holds back the later ones. An event that another worker has
# locked is still pending, so its aggregate waits.
_TAKE = """
SELECT sequence, attempts, source, event_id, type, aggregate, time, payload, traceparent, request_id
FROM mesh.inbox AS event
WHERE state = 'pending' AND due_at <= now() AND NOT EXISTS (
    SELECT FROM mesh.inbox AS earlier
    WHERE earlier.state = 'pending' AND earlier.aggregate = event.aggregate AND earlier.sequence < event.sequence
)
ORDER BY sequence LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_FINISH = "UPDATE mesh.inbox SET state = 'done', attempts = attempts + 1, finished_at = now() WHERE sequence = $1"
# Two workers may fail with an event, one after the other, before the first has recorded it: that counts once.
_FAIL = """
UPDATE mesh.inbox SET attempts = attempts + 1, last_error = $3,
    state = CASE WHEN $4::interval IS NULL THEN 'dead' ELSE 'pending' END, due_at = now() + coalesce($4, '0')
WHERE sequence = $1 AND attempts = $2 AND state = 'pending' RETURNING true
"""
_COUNT = """
SELECT (SELECT count(*) FROM mesh.inbox WHERE state = 'pending') AS waiting,
       (SELECT count(*) FROM mesh.inbox WHERE state = 'dead') AS dead
"""
_DEAD = """
SELECT event_id, type, aggregate, attempts, received_at, last_error, request_id FROM mesh.inbox
WHERE state = 'dead' ORDER BY sequence LIMIT $1
"""
_REPLAY = """
UPDATE mesh.inbox SET state = 'pending', attempts = 0, due_at = now()
WHERE state = 'dead' AND ($1::text IS NULL OR event_id = $1) RETURNING event_id
"""


@dataclass(frozen=True, slots=True)
class Received:
    """An event to handle, and the number of failed tries."""

    sequence: int
    attempts: int
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was set aside."""

    event_id: str
    type: str
    aggregate: str
    attempts: int
    received_at: datetime
    last_error: str
    request_id: str | None


async def store(tx: Connection, event: Envelope) -> None:
    """Stores an event, unless it is stored already."""
    values = (event.source, event.id, event.type, event.aggregate, event.time, event.payload)
    ids = (event.traceparent, event.request_id)
    await tx.execute(_STORE, *values, *ids, KEPT_FOR, PURGED_PER_EVENT_MAX)


async def take(tx: Connection) -> Received | None:
    """Locks an event that is due until the end of the transaction, and returns it. Returns None if every due event is
    locked by another worker.
    """
    row = await tx.fetchrow(_TAKE)
    return Received(row["sequence"], row["attempts"], Envelope.of_row(row)) if row else None


async def finish(tx: Connection, received: Received) -> None:
    """Marks the event as done with this transaction."""
    await tx.execute(_FINISH, received.sequence)


async def fail(tx: Connection, received: Received, error: str, pause_s: float | None) -> bool:
    """Records a failed try: the event is due again after the pause, or becomes a dead letter if that is None. Returns
    False if the failure is recorded already.
    """
    text = error.replace("\0", "")[:ERROR_LENGTH_MAX]
    pause = timedelta(seconds=pause_s) if pause_s is not None else None
    return await tx.fetchval(_FAIL, received.sequence, received.attempts, text, pause) is not None


async def count(tx: Connection) -> tuple[int, int]:
    """Returns the number of events that wait to be handled, and of dead letters."""
    row = await tx.fetchrow(_COUNT)
    assert row is not None, "it selects one row"
    return row["waiting"], row["dead"]


async def dead_letters(tx: Connection, limit: int) -> list[DeadLetter]:
    """Returns the dead letters, the oldest first."""
    return [DeadLetter(**dict(row)) for row in await tx.fetch(_DEAD, limit)]


async def replay(tx: Connection, event_id: str | None) -> list[str]:
    """Makes one dead letter, or all if `event_id` is None, due again with all tries left; returns their ids."""
    return [row["event_id"] for row in await tx.fetch(_REPLAY, event_id)]
