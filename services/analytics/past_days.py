"""The end of a day (UTC), after which its limits begin anew and what was counted for them is deleted."""

from datetime import UTC, datetime, time, timedelta
from typing import Final

from mesh.database import Connection

PURGED_PER_CALL_MAX: Final = 50_000

TABLES: Final = ("reported_names", "reported_name_counts", "reported_events")
"""The tables whose rows count for one day."""


async def purge(tx: Connection, table: str) -> int:
    """Deletes the rows of past days from a table, at most PURGED_PER_CALL_MAX. Returns their number."""
    query = f"""
        WITH purged AS (
            DELETE FROM {table} WHERE ctid = ANY(ARRAY(
                SELECT ctid FROM {table} WHERE day < $1 ORDER BY day LIMIT $2
            )) RETURNING 1
        ) SELECT count(*) FROM purged
    """
    purged: int = await tx.fetchval(query, datetime.now(UTC).date(), PURGED_PER_CALL_MAX)
    return purged


def until_tomorrow_s(now: datetime) -> float:
    """Returns the seconds until the next day."""
    tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    return (tomorrow - now).total_seconds()
