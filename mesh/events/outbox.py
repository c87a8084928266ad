"""The outbox: events as rows of the transaction that makes them true, until the broker has them."""

import zlib
from dataclasses import dataclass
from datetime import timedelta

from protobuf import Message

from mesh.contract.events import TYPE_PREFIX, publisher_of
from mesh.database import Connection, Session
from mesh.events.envelope import Envelope
from mesh.telemetry import correlation, tracing

CHANNEL = "mesh_outbox"  # of NOTIFY: rows were added

EVENT_SIZE_BYTES_MAX = 256 * 1024
AGGREGATE_LENGTH_MAX = 256
KEPT_FOR = timedelta(days=7)

# Ids come in the order of INSERTs, rows become visible in that of COMMITs. The lock is held until the commit, so that
# for one aggregate the two are the same; the id is drawn after the lock is taken, for it is the row of `turn` that
# is inserted. The classid of the two-key lock space is ours.
_INSERT = """
WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(1835365224, $1)),
     added AS (
         INSERT INTO mesh.outbox (type, source, aggregate, payload, traceparent, request_id)
         SELECT $2, $3, $4, $5, $6, $7 FROM turn
     )
SELECT pg_notify($8, '')
"""
# Never "what comes after the last id": a row with a smaller id may be committed later.
_WAITING = """
SELECT id, event_id, type, source, aggregate, time, payload, traceparent, request_id FROM mesh.outbox
WHERE published_at IS NULL ORDER BY id LIMIT $1
"""
_MARK = "UPDATE mesh.outbox SET published_at = now() WHERE id = ANY($1::bigint[])"
_PURGE = """
DELETE FROM mesh.outbox WHERE id IN (
    SELECT id FROM mesh.outbox WHERE published_at < now() - $1::interval ORDER BY published_at LIMIT $2
)
"""
_MEASURE = """
SELECT count(*) AS rows, coalesce(extract(epoch FROM now() - min(time)), 0)::float AS oldest_s
FROM mesh.outbox WHERE published_at IS NULL
"""


async def publish(tx: Connection, event: Message, *, source: str, aggregate: str) -> None:
    """Tells an event with the transaction `tx`: if that commits, every consumer will get the event, else none.

    The events of one `aggregate` (a resource name, "orders/7f3") arrive in the order in which they were told;
    transactions that tell of the same one wait for each other from here to their end. `source` is the service's name.
    """
    message_type, payload = event.desc().type_name, event.to_binary()
    if not message_type.startswith(TYPE_PREFIX):
        raise ValueError(f"{message_type}: events are messages of a package that begins with {TYPE_PREFIX}")
    if source != publisher_of(message_type):
        raise ValueError(f"{message_type} of {source!r}: only {publisher_of(message_type)!r} publishes it")
    if not (0 < len(aggregate) <= AGGREGATE_LENGTH_MAX and aggregate.isascii() and aggregate.isprintable()):
        raise ValueError(f"{aggregate!r}: an aggregate is 1 to {AGGREGATE_LENGTH_MAX} printable ASCII characters")
    if len(payload) > EVENT_SIZE_BYTES_MAX:
        raise ValueError(f"{message_type} of {aggregate} has {len(payload)} bytes, more than {EVENT_SIZE_BYTES_MAX}")
    turn = zlib.crc32(aggregate.encode()) - 2**31  # as a signed 32-bit integer
    ids = (tracing.inject().get("traceparent"), correlation.request_id() or None)
    await tx.execute(_INSERT, turn, message_type, source, aggregate, payload, *ids, CHANNEL)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row of the outbox that is not published yet."""

    id: int
    envelope: Envelope


async def waiting(session: Session, limit: int) -> list[Waiting]:
    """The oldest rows that the broker does not have, in the order of their ids."""
    return [Waiting(row["id"], Envelope.of_row(row)) for row in await session.fetch(_WAITING, limit)]


async def mark_published(session: Session, ids: list[int]) -> None:
    """The broker has these. Twice as many old rows as that are deleted, so that the table stays bounded."""
    await session.execute(_MARK, ids)
    await session.execute(_PURGE, KEPT_FOR, 2 * len(ids))


async def backlog(tx: Connection) -> tuple[int, float]:
    """How many rows the broker does not have, and the age of the oldest in seconds."""
    row = await tx.fetchrow(_MEASURE)
    assert row is not None, "an aggregate has a row"
    return row["rows"], row["oldest_s"]
