"""Indexes for each list and look-up of analytics."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from mesh.money import Money
from services.analytics import (
    audit_storage,
    event_storage,
    metric_storage,
    past_days,
    people_storage,
    quota_storage,
    sale_storage,
)
from services.analytics.audit_storage import Entry, Search
from services.analytics.client_events import ClientEvent
from services.analytics.domain import Dimension, Interval, Measure, Metric, Period, Query, SaleLine, SaleStep, tallies
from tests.services.indexes import Read, assert_uses_indexes, filled_database, next_page, page

FILL = {
    "people": """
        INSERT INTO people (user_name) SELECT 'users/' || n FROM generate_series(1, $1::int) AS n
    """,
    "erased_users": """
        INSERT INTO erased_users SELECT sha256(n::text::bytea), now() + (n - 100) * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
    "sales": """
        INSERT INTO sales (metric, order_name, person, units, currency, hundredths, event_time)
        SELECT 'orders_placed', 'orders/' || n, n, 1, 'EUR', 100, now() FROM generate_series(1, $1::int) AS n
    """,
    "client_events": """
        INSERT INTO client_events (event_id, metric, event_time, person, page, record_time)
        SELECT gen_random_uuid(), 'page_views', now(), n, '/', now() - (1 - n::float / $1) * interval '31 days'
        FROM generate_series(1, $1::int) AS n
    """,
    "rollups": """
        INSERT INTO rollups
        SELECT metric, resolution, dimension, CASE dimension WHEN 'total' THEN '' ELSE 'products/' || key END, 'EUR',
            date_trunc('minute', now()) - number * ('1 ' || resolution)::interval, 1, 1, 100
        FROM unnest(ARRAY['orders_placed', 'product_views']) AS metric,
            unnest(ARRAY['minute', 'hour', 'day']) AS resolution,
            unnest(ARRAY['total', 'product']) AS dimension,
            generate_series(1, 5) AS key, generate_series(1, $1::int / 20) AS number
        WHERE dimension <> 'total' OR key = 1
    """,
    "reported_names": """
        INSERT INTO reported_names SELECT n % 20, now()::date - n % 2, 'page', '/' || n
        FROM generate_series(1, $1::int) AS n
    """,
    "reported_name_counts": """
        INSERT INTO reported_name_counts SELECT n, now()::date - n % 2, 'page', n FROM generate_series(1, $1::int) AS n
    """,
    "reported_events": """
        INSERT INTO reported_events SELECT n, now()::date - n % 2, n FROM generate_series(1, $1::int) AS n
    """,
    "audit_entries": """
        INSERT INTO audit_entries (source, event_id, type, aggregate, actor, description, event_time)
        SELECT 'orders', n::text, 'type-' || n % 10, CASE WHEN n % 2 = 0 THEN 'users/~' ELSE 'orders/' END || n % 500,
            'users/~' || n % 500, '', now() + n * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
}
NOW = datetime.now(UTC)
ANY = Search("", "", "", None, None)
STEP = SaleStep(Metric.ORDERS_PLACED, "orders/7", 1, Money("EUR", 100), NOW)
LINE = SaleLine("products/7", 1, Money("EUR", 100))
EVENT = ClientEvent(str(uuid4()), Metric.PAGE_VIEWS.value, NOW, 7, None, "/", None, None)
ENTRY = Entry("orders", "event", "type-1", "orders/7", "users/7", "", NOW)
HOURS = Period.covering(Interval.HOUR, None, None, NOW)


async def deep_entries(tx: Connection, search: Search) -> None:
    """Reads two pages."""
    _, token = await audit_storage.list_entries(tx, search, page(*audit_storage.KEY_TYPES, size=5))
    await audit_storage.list_entries(tx, search, next_page(audit_storage.KEY_TYPES, token))


def query(dimension: Dimension, *groups: str) -> Query:
    """Returns the query of a metric in the last hours."""
    return Query(Metric.ORDERS_PLACED, HOURS, dimension, groups, "", Measure.COUNT, 10, "")


READS: dict[str, Read] = {
    "person_of": lambda tx: people_storage.person_of(tx, "users/7"),
    "person_of somebody new": lambda tx: people_storage.person_of(tx, "users/new"),
    "find_person": lambda tx: people_storage.find_person(tx, "users/7"),
    "erase": lambda tx: people_storage.erase(tx, "users/7"),
    "insert a sale": lambda tx: sale_storage.insert(tx, STEP, 7),
    "last_sequence": sale_storage.last_sequence,
    "list_steps": lambda tx: sale_storage.list_steps(tx, (100,)),
    "insert events": lambda tx: event_storage.insert(tx, [EVENT]),
    "check a quota": lambda tx: quota_storage.check(tx, 7, 1000),
    "add to a quota": lambda tx: quota_storage.add(tx, 7, 1),
    "purge quotas": lambda tx: past_days.purge(tx, "reported_events"),
    "purge names": lambda tx: past_days.purge(tx, "reported_names"),
    "purge counts of names": lambda tx: past_days.purge(tx, "reported_name_counts"),
    "purge events": event_storage.purge,
    "add tallies": lambda tx: metric_storage.add(tx, tallies(STEP, [LINE])),
    "find_series in total": lambda tx: metric_storage.find_series(tx, query(Dimension.TOTAL)),
    "find_series of the top": lambda tx: metric_storage.find_series(tx, query(Dimension.PRODUCT)),
    "find_series of a product": lambda tx: metric_storage.find_series(tx, query(Dimension.PRODUCT, "products/7")),
    "count_variants": lambda tx: metric_storage.count_variants(tx, "ranking"),
    "purge roll-ups": metric_storage.purge,
    "append": lambda tx: audit_storage.append(tx, ENTRY),
    "list_entries": lambda tx: deep_entries(tx, ANY),
    "list_entries of an aggregate": lambda tx: deep_entries(tx, Search("users/7", "", "", None, None)),
    "list_entries of a type": lambda tx: deep_entries(tx, Search("", "type-7", "", None, None)),
    "list_entries of an actor": lambda tx: deep_entries(tx, Search("", "", "users/7", None, None)),
    "list_entries of an actor and a type": lambda tx: deep_entries(tx, Search("", "type-7", "users/7", None, None)),
    "list_entries of deleted users": lambda tx: deep_entries(tx, Search("users/-", "", "users/-", None, None)),
    "list_entries of a period": lambda tx: deep_entries(tx, Search("", "", "", NOW, NOW + timedelta(hours=1))),
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many facts."""
    async with filled_database(postgres, "analytics", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every read uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
