"""Indexes for each list and look-up of payments."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from services.payments import ledger_storage, refund_storage, storage
from services.payments.domain import State
from tests.services.indexes import Read, assert_uses_indexes, filled_database, next_page, page

FILL = {
    "payments": """
        INSERT INTO payments (uid, order_name, customer, payment_method, currency, amount_hundredths,
            captured_hundredths, state, create_time, update_time, version, due_time)
        SELECT md5(n::text)::uuid, 'orders/' || n, 'users/' || n % 500, 'card_ok', 'EUR', 100,
            CASE WHEN n % 2 = 0 THEN 100 ELSE 0 END, CASE WHEN n % 2 = 0 THEN 'captured' ELSE 'failed' END,
            now() + n * interval '1 s', now(), 1, CASE WHEN n % 100 = 0 THEN now() END
        FROM generate_series(1, $1::int) AS n
    """,
    "risk_findings": """
        INSERT INTO risk_findings SELECT uid, 'AMOUNT', '' FROM payments WHERE $1::int > 0
    """,
    "refunds": """
        INSERT INTO refunds (uid, payment_uid, amount_hundredths, reason, create_time)
        SELECT gen_random_uuid(), uid, 10, '', now() FROM payments WHERE $1::int > 0
    """,
    "ledger_entries": """
        INSERT INTO ledger_entries (posting, account, currency, hundredths, payment_uid, create_time)
        SELECT uid, account, 'EUR', CASE account WHEN 'provider' THEN 100 ELSE -100 END, uid, now()
        FROM payments, unnest(ARRAY['provider', 'sales']) AS account WHERE $1::int > 0
    """,
    "received_reports": """
        INSERT INTO received_reports SELECT 'msg_' || n, now() FROM generate_series(1, $1::int) AS n
    """,
    "erased_customers": """
        INSERT INTO erased_customers SELECT 'users/erased-' || n, now() FROM generate_series(1, $1::int) AS n
    """,
    "cancelled_orders": """
        INSERT INTO cancelled_orders SELECT 'orders/cancelled-' || n, now() FROM generate_series(1, $1::int) AS n
    """,
    "sandbox_charges": """
        INSERT INTO sandbox_charges (key, card, currency, amount_hundredths, state, create_time)
        SELECT uid, 'card_late', 'EUR', 100, 'processing', now() FROM payments WHERE $1::int > 0
    """,
    "sandbox_reports": """
        INSERT INTO sandbox_reports SELECT key, now() + (random() - 0.1) * interval '1 day', 1 FROM sandbox_charges
        WHERE $1::int > 0
    """,
}
PAYMENT = UUID(hashlib.md5(b"7", usedforsecurity=False).hexdigest())


async def deep_payments(tx: Connection, customer: str | None, state: State | None) -> None:
    """Reads two pages."""
    key_types = storage.KEY_TYPES
    _, token = await storage.list_payments(tx, customer, "", state, page(*key_types, size=5))
    await storage.list_payments(tx, customer, "", state, next_page(key_types, token))


async def open_refunds(tx: Connection) -> None:
    """Reads the open refunds of a payment."""
    payment = await storage.find(tx, PAYMENT)
    assert payment is not None
    assert len(await refund_storage.list_open(tx, payment)) == 1


async def deep_entries(tx: Connection, uid: UUID | None) -> None:
    """Reads two pages."""
    key_types = ledger_storage.KEY_TYPES
    _, token = await ledger_storage.list_entries(tx, uid, page(*key_types, size=1))
    await ledger_storage.list_entries(tx, uid, next_page(key_types, token))


READS: dict[str, Read] = {
    "list_payments": lambda tx: deep_payments(tx, None, None),
    "list_payments of a customer": lambda tx: deep_payments(tx, "users/7", None),
    "list_payments in a state": lambda tx: deep_payments(tx, None, State.FAILED),
    "list_payments of a customer in a state": lambda tx: deep_payments(tx, "users/7", State.FAILED),
    "list_payments of an order": lambda tx: storage.list_payments(tx, None, "orders/7", None, page(*storage.KEY_TYPES)),
    "find_of_order": lambda tx: storage.find_of_order(tx, "orders/7"),
    "lock_of_order": lambda tx: storage.lock_of_order(tx, "orders/7"),
    "standing": lambda tx: storage.standing(tx, "orders/cancelled-7", "users/7"),
    "take_due": lambda tx: storage.take_due(tx, timedelta(seconds=30)),
    "take_due, first calls": lambda tx: storage.take_due(tx, timedelta(seconds=30), repeats=False),
    "make_due": lambda tx: storage.make_due(tx, PAYMENT),
    "history": lambda tx: storage.history(tx, "users/7", datetime.now(UTC)),
    "anonymise": lambda tx: storage.anonymise(tx, "users/7"),
    "record_report": lambda tx: storage.record_report(tx, "msg_7", datetime.now(UTC)),
    "open_refunds": open_refunds,
    "list_entries of a payment": lambda tx: deep_entries(tx, PAYMENT),
    "list_entries": lambda tx: deep_entries(tx, None),
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many payments."""
    async with filled_database(postgres, "payments", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every read uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
