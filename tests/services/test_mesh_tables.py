"""Indexes for each statement on the tables that the mesh keeps in the database of a service."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from mesh.events import inbox_table, outbox
from mesh.events.envelope import Envelope
from mesh.events.inbox_table import DueEvent
from mesh.idempotency import stored_responses
from mesh.idempotency.stored_responses import RequestKey
from tests.services.indexes import Read, assert_uses_indexes, filled_database

FILL = {
    "mesh.inbox": """
        INSERT INTO mesh.inbox (source, event_id, type, aggregate, time, payload, state, finished_at)
        SELECT 'orders', n, 'type', 'orders/' || n % 5000, now(), '',
            CASE n % 100 WHEN 0 THEN 'pending' WHEN 1 THEN 'dead' ELSE 'done' END, now() - n * interval '1 min'
        FROM generate_series(1, $1::int) AS n
    """,
    "mesh.outbox": """
        INSERT INTO mesh.outbox (type, source, aggregate, payload, published_at)
        SELECT 'type', 'inventory', 'orders/' || n, '', CASE WHEN n % 100 > 0 THEN now() - n * interval '1 min' END
        FROM generate_series(1, $1::int) AS n
    """,
    "mesh.answers": """
        INSERT INTO mesh.answers (caller, method, request_id, request_hash, response, expires_at)
        SELECT 'users/' || n % 500, '/method', n, '', '', now() + (n - 500) * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
}

ENVELOPE = Envelope("id", "type", "orders", "orders/7", datetime.now(UTC), b"", None)
DUE = DueEvent(100, 0, ENVELOPE)
KEY = RequestKey("users/7", "/method", "7")


async def _keep(tx: Connection) -> None:
    await stored_responses.claim(tx, KEY, b"")
    await stored_responses.keep(tx, KEY, b"")


# Without count() and measure_backlog(): they read all of what waits, which has indexes of its own.
READS: dict[str, Read] = {
    "store": lambda tx: inbox_table.store(tx, [ENVELOPE]),
    "take": lambda tx: inbox_table.take(tx, 50),
    "take separate events": lambda tx: inbox_table.take(tx, 1, separate=True),
    "finish": lambda tx: inbox_table.finish(tx, [DUE]),
    "fail": lambda tx: inbox_table.fail(tx, DUE, "error", 1.0),
    "dead letters": lambda tx: inbox_table.dead_letters(tx, 50),
    "unpublished": lambda tx: outbox.read_unpublished(tx, 100),
    "unpublished but for a type": lambda tx: outbox.read_unpublished(tx, 100, ["type"]),
    "mark published": lambda tx: outbox.mark_published(tx, [100]),
    "mark and read": lambda tx: outbox.mark_and_read(tx, [100], 100),
    "keep a response": _keep,
    "find a response": lambda tx: stored_responses.find(tx, KEY),
    "forget a response": lambda tx: stored_responses.forget(tx, KEY),
    "forget mentions": lambda tx: stored_responses.forget_mentions(tx, "users/7", "/method", "ada@example.com"),
    "forget a caller": lambda tx: stored_responses.forget_caller(tx, "users/7"),
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database whose tables have many rows, of which few wait."""
    async with filled_database(postgres, "inventory", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_statement_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every statement uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, ["inbox", "outbox", "answers"], read)
