"""Roll-ups against a naive model: any events, in any batches, repeated any number of times."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from hypothesis import given, settings
from hypothesis import strategies as st

from mesh.database import Database
from mesh.migrations import MESH_FOLDER, migrate
from mesh.settings import DatabaseSettings
from services.analytics import event_storage, metric_storage
from services.analytics.client_events import ClientEvent
from services.analytics.domain import Dimension, Interval, Measure, Metric, Period, Query

BEGIN = datetime(2026, 3, 1, 22, tzinfo=UTC)
PAGES = ("/", "/saws", "/spades")

moments = st.integers(0, 4 * 3600 - 1).map(lambda seconds: BEGIN + timedelta(seconds=seconds))  # over midnight
sent = st.lists(st.tuples(moments, st.sampled_from(PAGES)), min_size=1, max_size=40)


def event_of(time: datetime, page: str) -> ClientEvent:
    """Returns a new event."""
    return ClientEvent(str(uuid4()), Metric.PAGE_VIEWS.value, time, None, None, page, None, None)


async def ingest(database: Database, events: Sequence[ClientEvent], batches: Sequence[Sequence[int]]) -> int:
    """Ingests batches at the same time, each with the events at these indexes; returns the number of new ones."""

    async def insert(batch: Sequence[int]) -> int:
        async with database.transaction() as tx:
            return await event_storage.insert(tx, [events[index % len(events)] for index in batch])

    return sum(await asyncio.gather(*map(insert, batches)))


async def counted(database: Database, interval: Interval, dimension: Dimension) -> Counter[tuple[str, datetime]]:
    """Returns the counts of the roll-ups, by group and interval."""
    period = Period.covering(interval, BEGIN, BEGIN + timedelta(hours=4), BEGIN)
    query = Query(Metric.PAGE_VIEWS, period, dimension, (), "", Measure.COUNT, 10, "")
    async with database.transaction() as tx:
        series = await metric_storage.find_series(tx, query)
    return Counter({(each.group, point.start): point.measures.count for each in series for point in each.points})


def naive(events: Sequence[ClientEvent], interval: Interval, dimension: Dimension) -> Counter[tuple[str, datetime]]:
    """Counts events one by one."""
    return Counter(
        (each.page or "" if dimension is Dimension.PAGE else "", interval.floor(each.event_time)) for each in events
    )


def test_rollups_count_each_event_once(database_url: str) -> None:
    """Batches overlap, run at the same time, and are sent again; every resolution and group adds up to what was
    sent.
    """
    migrate(database_url, [MESH_FOLDER, Path("services", "analytics", "migrations")])
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        opened = Database.open(DatabaseSettings(database_url=database_url), "analytics")
        database = runner.run(stack.enter_async_context(opened))

        async def check(events: Sequence[ClientEvent], batches: Sequence[Sequence[int]]) -> None:
            async with database.transaction() as tx:
                await tx.execute("TRUNCATE client_events, rollups")
            everything = list(range(len(events)))
            accepted = await ingest(database, events, [*batches, everything])
            accepted += await ingest(database, events, [*batches, everything])
            assert accepted == len(events)
            for interval in Interval:
                for dimension in (Dimension.TOTAL, Dimension.PAGE):
                    assert await counted(database, interval, dimension) == naive(events, interval, dimension)

        @settings(max_examples=25)
        @given(sent, st.lists(st.lists(st.integers(0, 39), min_size=1, unique_by=lambda index: index), max_size=4))
        def check_any(given_events: list[tuple[datetime, str]], batches: list[list[int]]) -> None:
            events = [event_of(time, page) for time, page in given_events]
            fitting = [[index for index in batch if index < len(events)] for batch in batches]
            runner.run(check(events, fitting))

        try:
            check_any()
        finally:
            runner.run(stack.aclose())
