"""The SQL of events that clients reported."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from mesh.database import Connection
from services.analytics import name_storage
from services.analytics.client_events import ClientEvent
from services.analytics.metric_storage import ADD_TALLIES, lock_rollups

KEPT_FOR: Final = timedelta(days=30)
"""For longer than the age that a new event may have, so that an event that is sent again is always recognised."""

PURGED_PER_CALL_MAX: Final = 50_000

# COPY is the fastest way to send rows, but can't skip those that exist: so it fills a table of this session first.
_STAGE: Final = """
    CREATE TEMPORARY TABLE IF NOT EXISTS staged_events (
        event_id uuid, metric text, event_time timestamptz, person bigint,
        product text, page text, experiment text, variant text
    ) ON COMMIT DELETE ROWS
"""
_ADD: Final = f"""
    WITH added AS (
        INSERT INTO client_events (event_id, metric, event_time, person, product, page, experiment, variant)
        SELECT * FROM staged_events ORDER BY event_id
        ON CONFLICT (event_id) DO NOTHING RETURNING metric, event_time, product, page, experiment, variant
    ), tallies AS (
        SELECT metric, dimension, key, '' AS currency, event_time AS time, 1 AS count, 0 AS units, 0 AS hundredths
        FROM added CROSS JOIN LATERAL (
            VALUES ('total', ''), ('product', product), ('page', page), ('variant', experiment || '/' || variant)
        ) AS groups (dimension, key)
        WHERE key IS NOT NULL
    ), counted AS ({ADD_TALLIES})
    SELECT count(*) FROM added
"""


async def insert(tx: Connection, events: Sequence[ClientEvent]) -> int:
    """Inserts the events of one source that are new, and counts them in the roll-ups. Returns their number. Raises
    ResourceExhausted if the source reports too many names.
    """
    if not events:
        return 0
    await tx.execute(_STAGE)
    await tx.copy_records_to_table("staged_events", records=events, columns=ClientEvent._fields)
    await lock_rollups(tx)
    await name_storage.record(tx, events[0].person)
    added: int = await tx.fetchval(_ADD)
    return added


async def purge(tx: Connection) -> int:
    """Deletes events that are older than they are kept, at most PURGED_PER_CALL_MAX. Returns their number.

    It finds them by their places in the table: for so many keys the planner would read the whole table.
    """
    query = """
        WITH purged AS (
            DELETE FROM client_events WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM client_events WHERE record_time < now() - $1::interval
                ORDER BY record_time LIMIT $2
            )) RETURNING 1
        ) SELECT count(*) FROM purged
    """
    purged: int = await tx.fetchval(query, KEPT_FOR, PURGED_PER_CALL_MAX)
    return purged
