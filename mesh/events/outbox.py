"""The table of the outbox: events, written in the transaction that makes the change, until the broker has them."""

import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from protobuf import Message

from mesh.contract.events import publisher_of
from mesh.database import Connection, Session
from mesh.events.envelope import Envelope
from mesh.telemetry.origin import Origin

CHANNEL = "mesh_outbox"  # the channel of NOTIFY after rows were added

EVENT_SIZE_BYTES_MAX = 256 * 1024
AGGREGATE_LENGTH_MAX = 256
KEPT_FOR = timedelta(days=7)
HELD_BACK_ROWS_MAX = 50_000  # behind more rows than these of refused types, others wait too

# Ids are assigned in the order of INSERTs, but rows become visible in the order of COMMITs. The lock is held until the
# commit, so that the two orders are the same for one aggregate. The id is assigned after the lock is taken, because
# the INSERT reads from `lock`. The classid of the two-key lock space is ours.
_INSERT = """
WITH lock AS MATERIALIZED (SELECT pg_advisory_xact_lock(1835365224, $1)),
     added AS (
         INSERT INTO mesh.outbox (type, source, aggregate, payload, traceparent, request_id)
         SELECT $2, $3, $4, $5, $6, $7 FROM lock
     )
SELECT pg_notify($8, '')
"""
_SELECT = "SELECT id, event_id, type, source, aggregate, time, payload, traceparent, request_id FROM mesh.outbox"
# Never select by the last id that was published: a row with a smaller id may be committed later.
_WAITING = f"""
{_SELECT}
WHERE published_at IS NULL ORDER BY id LIMIT $1
"""
# The oldest rows but for those of some types, and for later ones of the same aggregates. A sort decides that for all,
# because a join by the aggregate would have no index. It is limited to a prefix, which has all that precedes its rows.
_WAITING_BUT_FOR = f"""
{_SELECT}
WHERE id = ANY(ARRAY(
    SELECT id FROM (
        SELECT id, bool_or(type = ANY($2)) OVER (PARTITION BY aggregate ORDER BY id) AS held_back
        FROM (SELECT id, type, aggregate FROM mesh.outbox WHERE published_at IS NULL ORDER BY id LIMIT $3) AS oldest
    ) AS waiting
    WHERE NOT held_back ORDER BY id LIMIT $1
)) ORDER BY id
"""
_PURGE = """
DELETE FROM mesh.outbox WHERE id = ANY(ARRAY(
    SELECT id FROM mesh.outbox WHERE published_at < now() - $2::interval ORDER BY published_at LIMIT $3
))
"""
_MARK_ROWS = "UPDATE mesh.outbox SET published_at = now() WHERE id = ANY($1::bigint[])"
_MARK = f"WITH purged AS ({_PURGE}) {_MARK_ROWS}"
# All parts of a statement see the table as it was before.
_MARK_AND_READ = f"""
WITH purged AS ({_PURGE}), marked AS ({_MARK_ROWS})
{_SELECT}
WHERE published_at IS NULL AND id <> ALL($1) ORDER BY id LIMIT $4
"""
_MEASURE = """
SELECT count(*) AS rows, coalesce(extract(epoch FROM now() - min(time)), 0)::float AS oldest_s
FROM mesh.outbox WHERE published_at IS NULL
"""


async def publish(tx: Connection, event: Message, *, source: str, aggregate: str) -> None:
    """Publishes an event with the transaction `tx`: if that commits, every consumer receives the event, else none does.

    The events of one `aggregate` (a resource name, "orders/7f3") arrive in the order in which they were published:
    transactions that publish events of the same aggregate wait for each other from here to their end. `source` is the
    name of the service.
    """
    await tx.execute(_INSERT, *_arguments(event, source, aggregate))


async def publish_all(tx: Connection, events: Iterable[tuple[str, Message]], *, source: str) -> None:
    """Publishes events, each with its aggregate, as publish() does, in one round trip.

    Give the aggregates in a fixed order, for example sorted: transactions that wait for each other in different orders
    deadlock. Each one takes a lock; PostgreSQL has room for some thousands (`max_locks_per_transaction`).
    """
    await tx.executemany(_INSERT, [_arguments(event, source, aggregate) for aggregate, event in events])


def _arguments(event: Message, source: str, aggregate: str) -> tuple[object, ...]:
    """Returns the arguments of _INSERT. Raises ValueError if the event may not be published like this."""
    message_type, payload = event.desc().type_name, event.to_binary()
    if source != publisher_of(message_type):
        raise ValueError(f"{message_type}: {source!r} may not publish it, only {publisher_of(message_type)!r} may")
    if not (0 < len(aggregate) <= AGGREGATE_LENGTH_MAX and aggregate.isascii() and aggregate.isprintable()):
        raise ValueError(f"{aggregate!r}: an aggregate has 1 to {AGGREGATE_LENGTH_MAX} printable ASCII characters")
    if len(payload) > EVENT_SIZE_BYTES_MAX:
        raise ValueError(f"{message_type} of {aggregate} has {len(payload)} bytes, more than {EVENT_SIZE_BYTES_MAX}")
    lock = zlib.crc32(aggregate.encode()) - 2**31  # as a signed 32-bit integer
    origin = Origin.current()
    return lock, message_type, source, aggregate, payload, origin.traceparent, origin.request_id, CHANNEL


@dataclass(frozen=True, slots=True)
class UnpublishedRow:
    """A row of the outbox that is not published yet."""

    id: int
    envelope: Envelope


async def read_unpublished(
    session: Session | Connection, limit: int, but_for: Collection[str] = ()
) -> list[UnpublishedRow]:
    """Returns the oldest unpublished rows, in the order of their ids, without those of the types `but_for` and without
    those that have to wait for them because they are later events of the same aggregates.

    With `but_for` only the first HELD_BACK_ROWS_MAX rows are considered.
    """
    if but_for:
        rows = await session.fetch(_WAITING_BUT_FOR, limit, list(but_for), HELD_BACK_ROWS_MAX)
    else:
        rows = await session.fetch(_WAITING, limit)
    return _unpublished(rows)


async def mark_and_read(session: Session | Connection, ids: list[int], limit: int) -> list[UnpublishedRow]:
    """Marks rows as mark_published() does, and returns what read_unpublished() does afterwards, in one round trip."""
    return _unpublished(await session.fetch(_MARK_AND_READ, ids, KEPT_FOR, 2 * len(ids), limit))


def _unpublished(rows: Iterable[asyncpg.Record]) -> list[UnpublishedRow]:
    return [UnpublishedRow(row["id"], Envelope.of_row(row)) for row in rows]


async def mark_published(session: Session | Connection, ids: list[int]) -> None:
    """Marks rows as published, and deletes up to twice as many old ones so that the table stays bounded."""
    await session.execute(_MARK, ids, KEPT_FOR, 2 * len(ids))


async def measure_backlog(tx: Connection) -> tuple[int, float]:
    """Returns the number of unpublished rows, and the age of the oldest in seconds."""
    row = await tx.fetchrow(_MEASURE)
    assert row is not None, "an aggregate has a row"
    return row["rows"], row["oldest_s"]
