"""The SQL of roll-ups: what facts add up to, by minute, hour and day."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final

import asyncpg

from mesh.database import Connection, lock_relation
from services.analytics.domain import (
    POINTS_MAX,
    Dimension,
    Interval,
    Measures,
    Metric,
    Point,
    Query,
    Series,
    Tally,
    group_key,
)

PURGED_PER_CALL_MAX: Final = 10_000
VARIANTS_MAX: Final = 100

ADD_TALLIES: Final = """
    INSERT INTO rollups (metric, resolution, dimension, key, currency, start_time, count, units, hundredths)
    SELECT metric, resolution, dimension, key, currency, date_trunc(resolution, time, 'UTC'),
           sum(count), sum(units), sum(hundredths)
    FROM tallies CROSS JOIN (VALUES ('minute'), ('hour'), ('day')) AS resolutions (resolution)
    GROUP BY metric, resolution, dimension, key, currency, date_trunc(resolution, time, 'UTC')
    ORDER BY 1, 2, 3, 4, 5, 6
    ON CONFLICT (metric, resolution, dimension, key, currency, start_time) DO UPDATE SET
        count = rollups.count + excluded.count,
        units = rollups.units + excluded.units,
        hundredths = rollups.hundredths + excluded.hundredths
"""
"""Adds the rows of a common table expression `tallies`. They are locked in one order, so that no two transactions wait
for each other.
"""

_TALLIES: Final = """
    WITH tallies AS (
        SELECT * FROM unnest(
            $1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::bigint[]
        ) AS given (metric, dimension, key, currency, time, count, units, hundredths)
    )
"""
_PERIOD: Final = """
    metric = $1 AND resolution = $2 AND dimension = $3 AND start_time >= $4 AND start_time < $5
    AND ($6 = '' OR currency = $6)
"""


async def lock_rollups(tx: Connection) -> None:
    """Locks all roll-ups until the transaction ends: one transaction counts at a time. Others would wait anyway, for
    the roll-ups that all have in common.
    """
    await lock_relation(tx, "rollups")


async def add(tx: Connection, tallies: Iterable[Tally]) -> None:
    """Adds tallies to the roll-ups of their minutes, hours and days."""
    rows = [
        (
            each.metric.value,
            each.dimension.value,
            each.group,
            each.currency,
            each.time,
            each.measures.count,
            each.measures.units,
            each.measures.hundredths,
        )
        for each in tallies
    ]
    await tx.execute(_TALLIES + ADD_TALLIES, *zip(*rows, strict=True))


async def find_series(tx: Connection, query: Query) -> list[Series]:
    """Returns the series of a valid query, the greatest first; of their points, one more than POINTS_MAX at most."""
    period = query.period
    arguments = (query.metric.value, period.interval.value, query.dimension.value, period.start, period.end)
    wanted, wanted_arguments = _wanted(query)
    size = f"sum({query.order_by.value})"
    sql = f"""
        WITH sizes AS (
            SELECT key, currency, {size} AS size FROM rollups WHERE {_PERIOD} AND {wanted} GROUP BY key, currency
        ), greatest AS (
            SELECT key FROM sizes GROUP BY key ORDER BY sum(size) DESC, key LIMIT $7
        )
        SELECT key, currency, start_time, count, units, hundredths
        FROM greatest JOIN sizes USING (key) JOIN rollups USING (key, currency) WHERE {_PERIOD}
        ORDER BY size DESC, key, currency, start_time LIMIT {POINTS_MAX + 1}
    """
    rows = await tx.fetch(sql, *arguments, query.currency, query.groups_max, *wanted_arguments)
    return [
        Series(query.group(key), currency, [_point(row) for row in points])
        for (key, currency), points in groupby(rows, lambda row: (row["key"], row["currency"]))
    ]


async def count_variants(tx: Connection, experiment: str) -> dict[str, tuple[int, int]]:
    """Returns the exposures and conversions of each variant of an experiment: of VARIANTS_MAX, those with the most
    exposures and then conversions. They are chosen once, so that no count of a variant is missing.
    """
    prefix = group_key(experiment, "")
    query = """
        SELECT key, coalesce(sum(count) FILTER (WHERE metric = $1), 0)::bigint AS exposures,
            coalesce(sum(count) FILTER (WHERE metric = $2), 0)::bigint AS conversions
        FROM rollups WHERE metric IN ($1, $2) AND resolution = $3 AND dimension = $4 AND key >= $5 AND key < $6
        GROUP BY key ORDER BY exposures DESC, conversions DESC, key LIMIT $7
    """
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    metrics = (Metric.EXPOSURES.value, Metric.CONVERSIONS.value)
    arguments = (*metrics, Interval.DAY.value, Dimension.VARIANT.value, prefix, end, VARIANTS_MAX)
    return {
        row["key"].removeprefix(prefix): (row["exposures"], row["conversions"])
        for row in await tx.fetch(query, *arguments)
    }


def _wanted(query: Query) -> tuple[str, tuple[object, ...]]:
    """Returns the condition on the keys of groups, with its arguments from $8 on."""
    if query.keys:
        return "key = ANY($8)", (query.keys,)
    if prefix := query.key_prefix:
        return "key >= $8 AND key < $9", (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))
    return "true", ()


def _point(row: asyncpg.Record) -> Point:
    return Point(row["start_time"], Measures(row["count"], row["units"], row["hundredths"]))


async def purge(tx: Connection, intervals: Sequence[Interval] = tuple(Interval)) -> int:
    """Deletes roll-ups that are older than they are kept, at most PURGED_PER_CALL_MAX of each interval. Returns their
    number.
    """
    query = """
        WITH purged AS (
            DELETE FROM rollups WHERE (metric, resolution, dimension, key, currency, start_time) IN (
                SELECT metric, resolution, dimension, key, currency, start_time FROM rollups
                WHERE resolution = $1 AND start_time < now() - $2::interval ORDER BY start_time LIMIT $3
            ) RETURNING 1
        ) SELECT count(*) FROM purged
    """
    counts = [await tx.fetchval(query, each.value, each.kept_for, PURGED_PER_CALL_MAX) for each in intervals]
    return sum(counts)
