"""The SQL of the names that sources report: products, pages and variants. Each name is a group of its own in roll-ups,
which are kept for two years, so that their number is limited.
"""

from datetime import UTC, datetime
from typing import Final

from mesh.database import Connection
from mesh.errors import ResourceExhausted
from services.analytics.past_days import until_tomorrow_s

NAMES_OF_USER_MAX: Final = 1_000
NAMES_OF_ANONYMOUS_MAX: Final = 50_000
"""The most names in each dimension on a day. All who are not signed in share one limit, which exceeds the names of a
large shop: there may be as many of them as somebody likes.
"""

ANONYMOUS: Final = 0


async def record(tx: Connection, person: int | None) -> None:
    """Records the names in the table staged_events, all of one source. The caller has locked the roll-ups. Raises
    ResourceExhausted if that is more than the source may report on a day.
    """
    names_max = NAMES_OF_USER_MAX if person is not None else NAMES_OF_ANONYMOUS_MAX
    counts = await tx.fetch(
        """
        WITH added AS (
            INSERT INTO reported_names (person, day, dimension, key)
            SELECT DISTINCT $1::bigint, $2::date, dimension, key FROM staged_events CROSS JOIN LATERAL (
                VALUES ('product', product), ('page', page), ('variant', experiment || '/' || variant)
            ) AS names (dimension, key)
            WHERE key IS NOT NULL ON CONFLICT DO NOTHING RETURNING dimension
        )
        INSERT INTO reported_name_counts AS counted (person, day, dimension, count)
        SELECT $1, $2, dimension, count(*) FROM added GROUP BY dimension ORDER BY dimension
        ON CONFLICT (person, day, dimension) DO UPDATE SET count = counted.count + excluded.count
        RETURNING dimension, count
        """,
        ANONYMOUS if person is None else person,
        datetime.now(UTC).date(),
    )
    for row in counts:
        if row["count"] > names_max:
            raise _too_many(row["dimension"], names_max, person)


def _too_many(dimension: str, names_max: int, person: int | None) -> ResourceExhausted:
    source = "All callers without a token" if person is None else "The caller"
    return ResourceExhausted(
        f"{source} may report {names_max} different {dimension}s on a day. Those of today can still be reported.",
        reason="NAMES_TOO_MANY",
        metadata={"dimension": dimension, "names_max": str(names_max)},
        retry_after_s=until_tomorrow_s(datetime.now(UTC)),
    )
