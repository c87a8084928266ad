"""The table of the inbox: received events, kept until long after they are done so that each takes effect once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from mesh.database import Connection, Session
from mesh.events.broker import EVENT_AGE_S_MAX
from mesh.events.envelope import Envelope

# A row that is done keeps a repeated event from taking effect again, so it must outlast the broker's copy.
KEPT_FOR = timedelta(seconds=2 * EVENT_AGE_S_MAX)
PURGED_PER_EVENT_MAX = 2  # more than the one row that each event adds, so that the table stays bounded
ERROR_LENGTH_MAX = 2000

_SUBSCRIBE = """
WITH ended AS (DELETE FROM mesh.subscriptions WHERE type <> ALL($1::text[]))
INSERT INTO mesh.subscriptions (type) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING
"""
_STORE = """
WITH purged AS (
    DELETE FROM mesh.inbox WHERE sequence = ANY(ARRAY(
        SELECT sequence FROM mesh.inbox WHERE state = 'done' AND finished_at < now() - $10::interval
        ORDER BY finished_at LIMIT $11 FOR UPDATE SKIP LOCKED
    ))
)
INSERT INTO mesh.inbox (source, event_id, type, aggregate, time, payload, traceparent, request_id, separate)
SELECT source, event_id, type, aggregate, time, payload, traceparent, request_id, type = ANY($9::text[])
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[], $7::text[], $8::text[])
    WITH ORDINALITY AS event (source, event_id, type, aggregate, time, payload, traceparent, request_id, number)
ORDER BY number ON CONFLICT (source, event_id) DO NOTHING
"""
_TAKE = "SELECT *, due_at <= now() AS due FROM mesh.take_events($1, $2) ORDER BY sequence"
# Those who take events lock the dead letters of their aggregates, so this waits for nobody.
_FINISH = """
WITH done AS (
    UPDATE mesh.inbox SET state = 'done', attempts = attempts + 1, finished_at = now()
    WHERE sequence = ANY($1::bigint[]) RETURNING aggregate, sequence
), overtaken AS (
    UPDATE mesh.inbox AS letter SET overtaken = true FROM done
    WHERE letter.state = 'dead' AND NOT overtaken AND letter.aggregate = done.aggregate
        AND letter.sequence < done.sequence
)
SELECT EXISTS (
    SELECT FROM mesh.inbox
    WHERE state = 'pending' AND separate = $2 AND due_at <= clock_timestamp() AND sequence <> ALL($1)
    LIMIT 1 FOR UPDATE SKIP LOCKED
)
"""
# A failed transaction is recorded in another one. Before that, a second worker may fail with the event: it counts once.
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
SELECT event_id, type, aggregate, attempts, received_at, last_error, request_id, overtaken FROM mesh.inbox
WHERE state = 'dead' ORDER BY sequence LIMIT $1
"""
_DEAD_LETTER = """
SELECT source, event_id, type, aggregate, time, payload, traceparent, request_id, attempts, received_at, last_error,
    overtaken
FROM mesh.inbox WHERE state = 'dead' AND event_id = $1
"""
# Workers have locked the dead letters of the aggregates whose events they handle.
_REPLAY = """
UPDATE mesh.inbox SET state = 'pending', attempts = 0, due_at = now() WHERE sequence = ANY(ARRAY(
    SELECT sequence FROM mesh.inbox
    WHERE state = 'dead' AND ($1::text IS NULL OR event_id = $1) AND ($2 OR NOT overtaken) FOR UPDATE SKIP LOCKED
)) RETURNING event_id
"""


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event that is due to be handled, and the number of its failed tries."""

    sequence: int
    attempts: int
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up after all tries. It is overtaken if a later event of its aggregate was handled."""

    event_id: str
    type: str
    aggregate: str
    attempts: int
    received_at: datetime
    last_error: str
    request_id: str | None
    overtaken: bool


async def subscribe(session: Session, event_types: Collection[str]) -> None:
    """Records that the inbox receives these types from now on, and no others. Types that it received before keep their
    time.
    """
    await session.execute(_SUBSCRIBE, list(event_types))


async def store(session: Session | Connection, events: Sequence[Envelope], separate: Collection[str] = ()) -> None:
    """Stores events in this order, but for those that are stored already. Those of the types in `separate` are for the
    workers of separate events.
    """
    columns = [
        [getattr(event, name) for event in events]
        for name in ("source", "id", "type", "aggregate", "time", "payload", "traceparent", "request_id")
    ]
    await session.execute(_STORE, *columns, list(separate), KEPT_FOR, PURGED_PER_EVENT_MAX * len(events))


async def take(tx: Connection, limit: int, *, separate: bool = False) -> list[DueEvent]:
    """Locks up to `limit` aggregates with events that are due until the end of the transaction, and returns the first
    events of theirs, in order. The very first one of each was stored as `separate`, or was not. Returns none if every
    such event is locked by another worker.
    """
    rows = await tx.fetch(_TAKE, limit, separate)
    taken: list[DueEvent] = []
    waiting: set[str] = set()
    for row in rows:
        if row["due"] and row["aggregate"] not in waiting:
            taken.append(DueEvent(row["sequence"], row["attempts"], Envelope.of_row(row)))
        else:
            waiting.add(row["aggregate"])
    return taken


async def mark_separate(tx: Connection, event: DueEvent) -> None:
    """Gives a pending event to the workers of separate events, which find it when they poll."""
    await tx.execute("UPDATE mesh.inbox SET separate = true WHERE sequence = $1", event.sequence)


async def finish(tx: Connection, done: Sequence[DueEvent], *, separate: bool = False) -> bool:
    """Marks events as done with this transaction, which ends now. Returns whether another event is due that was stored
    as `separate`, or was not, and that no other worker has locked.
    """
    found: bool = await tx.fetchval(_FINISH, [event.sequence for event in done], separate)
    return found


async def fail(tx: Connection, event: DueEvent, error: str, pause_s: float | None) -> bool:
    """Records a failed try: the event is due again after the pause, or becomes a dead letter if that is None. Returns
    False if the failure is recorded already.
    """
    text = error.replace("\0", "")[:ERROR_LENGTH_MAX]
    pause = timedelta(seconds=pause_s) if pause_s is not None else None
    return await tx.fetchval(_FAIL, event.sequence, event.attempts, text, pause) is not None


async def count(tx: Connection) -> tuple[int, int]:
    """Returns the number of events that wait to be handled, and of dead letters."""
    row = await tx.fetchrow(_COUNT)
    assert row is not None, "it selects one row"
    return row["waiting"], row["dead"]


async def dead_letters(tx: Connection, limit: int) -> list[DeadLetter]:
    """Returns the dead letters, the oldest first."""
    return [DeadLetter(**dict(row)) for row in await tx.fetch(_DEAD, limit)]


async def dead_letter(tx: Connection, event_id: str) -> tuple[DeadLetter, Envelope] | None:
    """Returns a dead letter and its event, None if there is none with this id."""
    row = await tx.fetchrow(_DEAD_LETTER, event_id)
    if row is None:
        return None
    return DeadLetter(**{each.name: row[each.name] for each in fields(DeadLetter)}), Envelope.of_row(row)


async def replay(tx: Connection, event_id: str | None, *, overtaken: bool = False) -> list[str]:
    """Makes one dead letter, or all if `event_id` is None, due again with all tries left; returns their ids.

    Leaves out those whose aggregate is being handled, and those that are overtaken unless that is asked for: their
    handlers run after those of later events.
    """
    return [row["event_id"] for row in await tx.fetch(_REPLAY, event_id, overtaken)]
