"""Indexes for each list and look-up of the services, on enough rows to matter."""

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from mesh.database import Connection, Database
from mesh.pagination import Page, read_page
from services.identity import storage as identity
from services.inventory import storage as inventory
from services.notifications.domain.webhook_delivery import Message
from services.notifications.storage import (
    notifications,
    outgoing_messages,
    webhook_deliveries,
    webhook_endpoints,
    webhook_messages,
    webhook_wakeups,
)
from services.orders import change_storage as order_changes
from services.orders import storage as orders
from services.orders.domain import Limits, PendingStep
from services.payments import storage as payments
from services.payments.domain import State as PaymentState
from services.support import erasure_storage, presence_storage
from services.support import storage as support
from services.support.domain import State

ROWS = 20_000

FILL = {
    "orders": """
        INSERT INTO orders (uid, customer, state, create_time, update_time, version)
        SELECT gen_random_uuid(), 'users/' || n % 500, 'pending', now() + n * interval '1 s', now(), 1
        FROM generate_series(1, $1::int) AS n;
    """,
    "order_lines": """
        INSERT INTO order_lines (order_uid, position, product, title, quantity, currency, unit_price_hundredths)
        SELECT uid, position, 'products/1', 'Saw', 1, 'EUR', 100 FROM orders, generate_series(0, 2) AS position
        WHERE $1::int > 0
    """,
    "shipment_events": """
        INSERT INTO shipment_events (order_uid, position, kind, description, event_time)
        SELECT uid, position, 'in_transit', '', now() FROM orders, generate_series(1, 2) AS position WHERE $1::int > 0
    """,
    "order_changes": """
        INSERT INTO order_changes (order_uid, version, change_time, actor, state, pending_step, reason)
        SELECT uid, number, now(), customer, 'pending', 'stock', '' FROM orders, generate_series(1, 3) AS number
        WHERE $1::int > 0
    """,
    "notifications": """
        INSERT INTO notifications (uid, user_name, subject, send_time)
        SELECT gen_random_uuid(), 'users/' || n % 500, 'Welcome', now() + n * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
    "outgoing_messages": """
        INSERT INTO outgoing_messages (notification_uid, channel, due_time)
        SELECT uid, 'email', now() + random() * interval '1 day' FROM notifications WHERE $1::int > 0
    """,
    "webhook_endpoints": """
        INSERT INTO webhook_endpoints (uid, owner, url, description, event_types, all_orders, create_time, update_time,
            version, secret_version, due_time)
        SELECT md5(n::text)::uuid, 'users/' || n % 5000, 'https://example.com', '', '{}', n % 1000 = 0,
            now() + n * interval '1 s', now(), 1, 1, CASE WHEN n % 100 = 0 THEN now() + n * interval '1 s' END
        FROM generate_series(1, $1::int) AS n
    """,
    "webhook_wakeups": """
        INSERT INTO webhook_wakeups (endpoint_uid) SELECT uid FROM webhook_endpoints WHERE $1::int > 0
    """,
    "webhook_messages": """
        INSERT INTO webhook_messages (uid, customer, type, body, create_time)
        SELECT gen_random_uuid(), 'users/' || n % 5000, 'order.placed', '{}', now() + n * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
    "webhook_deliveries": """
        INSERT INTO webhook_deliveries (uid, endpoint_uid, message_uid, state, create_time, due_time)
        SELECT gen_random_uuid(), md5((n % 500 + 1)::text)::uuid, uid, state, now() + n * interval '1 s',
            CASE state WHEN 'pending' THEN now() END
        FROM (SELECT uid, row_number() OVER () AS n FROM webhook_messages WHERE $1::int > 0) AS messages,
            unnest(ARRAY['pending', 'failed']) AS state
    """,
    "webhook_attempts": """
        INSERT INTO webhook_attempts (delivery_uid, number, time, duration, status, error)
        SELECT uid, 1, now(), '1 s', 500, '' FROM webhook_deliveries WHERE $1::int > 0
    """,
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
    "users": """
        INSERT INTO users (uid, email, display_name, role, password_hash, request_id)
        SELECT gen_random_uuid(), 'user-' || n || '@example.com', 'Ada', 'customer', '', ''
        FROM generate_series(1, $1::int) AS n
    """,
    "refresh_families": """
        INSERT INTO refresh_families (id, user_uid, scopes, token_hash, expire_time)
        SELECT gen_random_uuid(), uid, '{}', '', now() + interval '1 day' FROM users WHERE $1::int > 0
    """,
}

FILL |= {
    "conversations": """
        INSERT INTO conversations (uid, customer, subject, state, message_count, create_time, update_time, version)
        SELECT md5(n::text)::uuid, 'users/' || n % 500, 'Saw', CASE WHEN n % 2 = 0 THEN 'open' ELSE 'closed' END, 2,
            now() + n * interval '1 s', now(), 1
        FROM generate_series(1, $1::int) AS n
    """,
    "messages": """
        INSERT INTO messages (conversation_uid, number, sender, from_staff, text, create_time, request_id)
        SELECT uid, number, CASE number WHEN 1 THEN customer ELSE 'users/staff-' || left(uid::text, 2) END, number = 2,
            'Hello', now(), gen_random_uuid()
        FROM conversations, generate_series(1, 2) AS number WHERE $1::int > 0
    """,
    "participants": """
        INSERT INTO participants (conversation_uid, user_name, staff, last_seen_time)
        SELECT uid, customer, false, now() FROM conversations WHERE $1::int > 0
    """,
    "open_streams": """
        INSERT INTO open_streams (uid, conversation_uid, user_name, renew_time)
        SELECT gen_random_uuid(), uid, customer, now() FROM conversations WHERE $1::int > 0
    """,
    "erased_users": """
        INSERT INTO erased_users SELECT 'users/erased-' || n, now() FROM generate_series(1, $1::int) AS n
    """,
}

ORDER_TABLES = ("orders", "order_lines", "shipment_events", "order_changes")
LONG_AGO = datetime(2026, 1, 2, tzinfo=UTC)
FILL |= {
    "stock": """
        INSERT INTO stock (product, on_hand, reserved, reorder_level, reorder_quantity, update_time, version, low,
            low_change)
        SELECT 'products/' || n, 5, 0, CASE WHEN n % 100 = 0 THEN 9 ELSE 0 END, n % 2, now(), 1, n % 100 = 0, n
        FROM generate_series(1, $1::int) AS n
    """,
    "adjustments": """
        INSERT INTO adjustments (product, delta, reason, note, actor, create_time)
        SELECT product, 5, 'RECEIVED', '', 'users/' || length(product), now()
        FROM stock, generate_series(1, 2) WHERE $1::int > 0
    """,
    "reservations": """
        INSERT INTO reservations (order_name, state, expire_time)
        SELECT 'orders/' || n, CASE WHEN n % 10 = 0 THEN 'reserved' ELSE 'committed' END, now() + n * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
    "reserved_units": """
        INSERT INTO reserved_units (order_name, product, quantity)
        SELECT order_name, 'products/' || n, 1 FROM reservations, generate_series(1, 3) AS n WHERE $1::int > 0
    """,
}

STOCK_TABLES = ("stock", "adjustments")
RESERVATION_TABLES = ("reservations", "reserved_units")
SUPPORT_TABLES = ("conversations", "messages", "participants", "open_streams", "erased_users")
PAYMENTS = ("payments", "risk_findings")
PAYMENT = UUID(hashlib.md5(b"7", usedforsecurity=False).hexdigest())
CONVERSATION = UUID("c4ca4238-a0b9-2382-0dcc-509a6f75849b")  # of the number 1, by md5
WEBHOOKS = ("webhook_endpoints", "webhook_messages", "webhook_deliveries", "webhook_attempts")
ENDPOINT = UUID(hashlib.md5(b"7", usedforsecurity=False).hexdigest())
MESSAGE = Message(UUID(int=7), "users/7", "order.placed", b"{}")

Read = Callable[[Connection], Awaitable[object]]


def page(*key_types: type, size: int = 50) -> Page:
    """Returns the first page of a list."""
    return read_page(size, "", query=(), key_types=key_types)


def next_page(key_types: tuple[type, ...], token: str) -> Page:
    """Returns a page that is not the first."""
    return read_page(50, token, query=(), key_types=key_types)


async def deep_orders(tx: Connection, customer: str | None) -> None:
    """Reads two pages."""
    _, token = await orders.list_orders(tx, customer, page(*orders.KEY_TYPES, size=20))
    await orders.list_orders(tx, customer, next_page(orders.KEY_TYPES, token))


async def deep_stuck_orders(tx: Connection) -> None:
    """Reads two pages."""
    limits, now = Limits(*[timedelta()] * 3), datetime.now(UTC) + timedelta(hours=1)
    _, token = await orders.list_stuck(tx, limits, now, page(*orders.STUCK_KEY_TYPES, size=20))
    await orders.list_stuck(tx, limits, now, next_page(orders.STUCK_KEY_TYPES, token))


async def deep_notifications(tx: Connection, *, unread: bool = False) -> None:
    """Reads two pages."""
    _, token = await notifications.list_notifications(
        tx, "users/7", page(*notifications.LIST_KEY_TYPES, size=20), unread=unread
    )
    await notifications.list_notifications(tx, "users/7", next_page(notifications.LIST_KEY_TYPES, token), unread=unread)


async def deep_conversations(tx: Connection, customer: str | None, state: State | None) -> None:
    """Reads two pages."""
    key_types = support.CONVERSATION_KEY_TYPES
    _, token = await support.list_conversations(tx, customer, state, page(*key_types, size=5))
    await support.list_conversations(tx, customer, state, next_page(key_types, token))


async def deep_payments(tx: Connection, customer: str | None, state: PaymentState | None) -> None:
    """Reads two pages."""
    key_types = payments.KEY_TYPES
    _, token = await payments.list_payments(tx, customer, "", state, page(*key_types, size=5))
    await payments.list_payments(tx, customer, "", state, next_page(key_types, token))


async def open_refunds(tx: Connection) -> None:
    """Reads what is to be paid back of a payment."""
    payment = await payments.find(tx, PAYMENT)
    assert payment is not None
    assert len(await payments.open_refunds(tx, payment)) == 1


async def deep_entries(tx: Connection, uid: UUID | None) -> None:
    """Reads two pages."""
    key_types = payments.LEDGER_KEY_TYPES
    _, token = await payments.list_entries(tx, uid, page(*key_types, size=1))
    await payments.list_entries(tx, uid, next_page(key_types, token))


async def deep_endpoints(tx: Connection) -> None:
    """Reads two pages."""
    key_types = webhook_endpoints.LIST_KEY_TYPES
    _, token = await webhook_endpoints.list_endpoints(tx, "users/7", page(*key_types, size=2))
    await webhook_endpoints.list_endpoints(tx, "users/7", next_page(key_types, token))


async def deep_deliveries(tx: Connection) -> None:
    """Reads two pages."""
    key_types = webhook_deliveries.LIST_KEY_TYPES
    _, token = await webhook_deliveries.list_deliveries(tx, ENDPOINT, page(*key_types, size=20))
    await webhook_deliveries.list_deliveries(tx, ENDPOINT, next_page(key_types, token))


async def deep_stock(tx: Connection, listed: inventory.Listed) -> None:
    """Reads two pages."""
    _, token = await inventory.list_stock(tx, page(str, size=20), listed)
    await inventory.list_stock(tx, next_page((str,), token), listed)


async def deep_adjustments(tx: Connection) -> None:
    """Reads two pages."""
    _, token = await inventory.list_adjustments(tx, "products/7", page(int, size=1))
    await inventory.list_adjustments(tx, "products/7", next_page((int,), token))


READS: list[tuple[str, tuple[str, ...], Read]] = [
    ("orders", ("orders", "order_lines"), lambda tx: deep_orders(tx, "users/7")),
    ("orders", ("orders", "order_lines"), lambda tx: deep_orders(tx, None)),
    ("orders", ("orders", "order_lines"), lambda tx: orders.find(tx, uuid4())),
    ("orders", ORDER_TABLES, deep_stuck_orders),
    ("orders", ORDER_TABLES, lambda tx: orders.take_overdue(tx, PendingStep.STOCK, LONG_AGO)),
    ("orders", ORDER_TABLES, lambda tx: orders.list_pending_of(tx, "users/7")),
    ("orders", ORDER_TABLES, lambda tx: orders.anonymise(tx, "users/7")),
    ("orders", ORDER_TABLES, lambda tx: order_changes.list_changes(tx, uuid4(), page(int))),
    ("notifications", ("notifications",), deep_notifications),
    ("notifications", ("notifications",), lambda tx: deep_notifications(tx, unread=True)),
    ("notifications", ("notifications",), lambda tx: notifications.list_changes(tx, "users/7", (100,))),
    ("notifications", ("notifications",), lambda tx: notifications.purge(tx, 100)),
    ("notifications", ("notifications", "outgoing_messages"), outgoing_messages.take),
    ("notifications", ("notifications",), lambda tx: notifications.delete_of(tx, "users/7")),
    ("notifications", WEBHOOKS[:1], lambda tx: webhook_endpoints.count_of(tx, "users/7")),
    ("notifications", WEBHOOKS[:1], deep_endpoints),
    ("notifications", WEBHOOKS[:1], webhook_endpoints.lease),
    ("notifications", (*WEBHOOKS[:1], "webhook_wakeups"), webhook_wakeups.drain),
    ("notifications", WEBHOOKS[:3], lambda tx: webhook_endpoints.release(tx, ENDPOINT)),
    ("notifications", WEBHOOKS, lambda tx: webhook_endpoints.delete_of(tx, "users/7")),
    ("notifications", WEBHOOKS[:3], lambda tx: webhook_messages.publish(tx, MESSAGE)),
    ("notifications", WEBHOOKS, lambda tx: webhook_messages.delete_of(tx, "users/7")),
    ("notifications", WEBHOOKS, lambda tx: webhook_messages.purge(tx, 100)),
    ("notifications", WEBHOOKS, lambda tx: webhook_deliveries.list_due(tx, ENDPOINT, 8)),
    ("notifications", WEBHOOKS, deep_deliveries),
    ("identity", ("users",), lambda tx: identity.find_user(tx, UUID(int=7))),
    ("identity", ("users",), lambda tx: identity.find_by_email(tx, "User-77@example.com")),
    ("identity", ("users", "refresh_families"), lambda tx: identity.delete_family(tx, UUID(int=7))),
    *(("inventory", STOCK_TABLES, lambda tx, listed=listed: deep_stock(tx, listed)) for listed in inventory.Listed),
    ("inventory", STOCK_TABLES, deep_adjustments),
    ("inventory", STOCK_TABLES, lambda tx: inventory.erase_actor(tx, "users/1")),
    ("inventory", STOCK_TABLES, lambda tx: inventory.find(tx, "products/7")),
    ("inventory", STOCK_TABLES, lambda tx: inventory.lock(tx, ["products/7", "products/8"])),
    ("inventory", STOCK_TABLES, inventory.low_position),
    ("inventory", STOCK_TABLES, lambda tx: inventory.list_low_changes(tx, 0, ROWS)),
    ("inventory", STOCK_TABLES, lambda tx: inventory.list_low_changes(tx, ROWS, ROWS)),
    ("inventory", RESERVATION_TABLES, lambda tx: inventory.find_reservation(tx, "orders/7")),
    ("inventory", RESERVATION_TABLES, lambda tx: inventory.take_expired(tx, datetime.now(UTC) + timedelta(hours=1))),
    ("payments", PAYMENTS, lambda tx: deep_payments(tx, None, None)),
    ("payments", PAYMENTS, lambda tx: deep_payments(tx, "users/7", None)),
    ("payments", PAYMENTS, lambda tx: deep_payments(tx, None, PaymentState.FAILED)),
    ("payments", PAYMENTS, lambda tx: deep_payments(tx, "users/7", PaymentState.FAILED)),
    ("payments", PAYMENTS, lambda tx: payments.list_payments(tx, None, "orders/7", None, page(*payments.KEY_TYPES))),
    ("payments", PAYMENTS, lambda tx: payments.find_of_order(tx, "orders/7")),
    ("payments", PAYMENTS, lambda tx: payments.take_due(tx, timedelta(seconds=30))),
    ("payments", PAYMENTS, lambda tx: payments.history(tx, "users/7", datetime.now(UTC))),
    ("payments", ("payments", "erased_customers"), lambda tx: payments.anonymise(tx, "users/7")),
    ("payments", ("erased_customers",), lambda tx: payments.is_erased(tx, "users/7")),
    ("payments", ("received_reports",), lambda tx: payments.record_report(tx, "msg_7", datetime.now(UTC))),
    ("payments", (*PAYMENTS, "refunds"), open_refunds),
    ("payments", ("payments", "ledger_entries"), lambda tx: deep_entries(tx, PAYMENT)),
    ("payments", ("payments", "ledger_entries"), lambda tx: deep_entries(tx, None)),
    ("support", ("conversations",), lambda tx: deep_conversations(tx, None, None)),
    ("support", ("conversations",), lambda tx: deep_conversations(tx, None, State.OPEN)),
    ("support", ("conversations",), lambda tx: deep_conversations(tx, "users/7", None)),
    ("support", ("conversations",), lambda tx: deep_conversations(tx, "users/7", State.CLOSED)),
    ("support", ("conversations",), lambda tx: support.count_open(tx, "users/7")),
    ("support", SUPPORT_TABLES, lambda tx: support.find(tx, CONVERSATION)),
    ("support", SUPPORT_TABLES, lambda tx: support.find_posted(tx, CONVERSATION, "users/1", uuid4())),
    ("support", SUPPORT_TABLES, lambda tx: support.read_messages(tx, CONVERSATION, 1)),
    ("support", SUPPORT_TABLES, lambda tx: support.list_messages(tx, CONVERSATION, page(int))),
    ("support", SUPPORT_TABLES, lambda tx: presence_storage.read_participants(tx, CONVERSATION)),
    ("support", SUPPORT_TABLES, lambda tx: presence_storage.end(tx, [uuid4()])),
    ("support", SUPPORT_TABLES, lambda tx: erasure_storage.is_erased(tx, "users/7")),
    ("support", SUPPORT_TABLES, lambda tx: erasure_storage.erase(tx, "users/7")),
    ("support", SUPPORT_TABLES, lambda tx: erasure_storage.erase(tx, "users/staff-c4")),
]


@pytest.mark.parametrize(("service", "tables", "read"), READS)
async def test_no_read_goes_through_a_whole_table(
    open_database: Callable[[str], Awaitable[Database]],
    database_url: str,
    service: str,
    tables: tuple[str, ...],
    read: Read,
) -> None:
    """PostgreSQL counts no sequential scans of the tables."""
    database = await open_database(service)
    connection = await asyncpg.connect(database_url)  # without the limits of a call: a busy machine needs its time
    try:
        for table in tables:
            await connection.execute(FILL[table], ROWS)
            await connection.execute(f"ANALYZE {table}")
    finally:
        await connection.close()
    async with database.transaction() as tx:
        before = await scans(tx, tables)
        await read(tx)
        assert await scans(tx, tables) == before


async def scans(tx: Connection, tables: tuple[str, ...]) -> int:
    """Returns the number of sequential scans of these tables by this session."""
    query = "SELECT sum(seq_scan)::int FROM pg_stat_xact_user_tables WHERE relname = ANY($1)"
    count: int = await tx.fetchval(query, list(tables))
    return count
