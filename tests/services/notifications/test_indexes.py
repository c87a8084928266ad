"""Indexes for each list and look-up of notifications."""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from services.notifications.domain.notification import Channel
from services.notifications.domain.phone_code import PhoneCode
from services.notifications.domain.webhook_delivery import Message
from services.notifications.storage import (
    erased_users,
    mailed_addresses,
    notifications,
    outgoing_messages,
    phone_codes,
    preferences,
    webhook_deliveries,
    webhook_endpoints,
    webhook_messages,
    webhook_wakeups,
)
from tests.services.indexes import Read, assert_uses_indexes, filled_database, next_page, page

FILL = {
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
    "preferences": """
        INSERT INTO preferences SELECT 'users/' || n, '{}', '', now(), 1 FROM generate_series(1, $1::int) AS n
    """,
    "phone_codes": """
        INSERT INTO phone_codes (user_name, phone_number, code_hash, attempts_left, expire_time)
        SELECT 'users/' || n, '', '', 5, now() + (n - 100) * interval '1 s' FROM generate_series(1, $1::int) AS n
    """,
    "phone_code_counts": """
        INSERT INTO phone_code_counts SELECT sha256(n::text::bytea), 1, now() + (n - 100) * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
    "mailed_addresses": """
        INSERT INTO mailed_addresses SELECT sha256(n::text::bytea), now() + (n - 100) * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
    "erased_users": """
        INSERT INTO erased_users SELECT sha256(n::text::bytea), now() + (n - 100) * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
}
ENDPOINT = UUID(hashlib.md5(b"7", usedforsecurity=False).hexdigest())
CODE = PhoneCode.create("users/7", "+15550100", b"7", datetime.now(UTC))
MESSAGE = Message(UUID(int=7), "users/7", "order.placed", b"{}")


async def deep_notifications(tx: Connection, *, unread: bool = False) -> None:
    """Reads two pages."""
    _, token = await notifications.list_notifications(
        tx, "users/7", page(*notifications.LIST_KEY_TYPES, size=20), unread=unread
    )
    await notifications.list_notifications(tx, "users/7", next_page(notifications.LIST_KEY_TYPES, token), unread=unread)


async def deep_endpoints(tx: Connection) -> None:
    """Reads two pages."""
    key_types = webhook_endpoints.LIST_KEY_TYPES
    _, token = await webhook_endpoints.list_endpoints(tx, "users/7", page(*key_types, size=2))
    await webhook_endpoints.list_endpoints(tx, "users/7", next_page(key_types, token))


async def deep_deliveries(tx: Connection) -> None:
    """Reads two pages of an endpoint for all orders, and one of an endpoint for its owner's."""
    key_types = webhook_deliveries.LIST_KEY_TYPES
    own = await webhook_endpoints.find(tx, ENDPOINT)
    assert own is not None
    everything = replace(own, details=replace(own.details, all_orders=True))
    _, token = await webhook_deliveries.list_deliveries(tx, everything, page(*key_types, size=20))
    await webhook_deliveries.list_deliveries(tx, everything, next_page(key_types, token))
    await webhook_deliveries.list_deliveries(tx, own, page(*key_types, size=20))


READS: dict[str, Read] = {
    "list_notifications": deep_notifications,
    "list_notifications unread": lambda tx: deep_notifications(tx, unread=True),
    "list_changes": lambda tx: notifications.list_changes(tx, "users/7", (100,)),
    "find": lambda tx: notifications.find(tx, uuid4()),
    "find_in_app": lambda tx: notifications.find_in_app(tx, uuid4(), lock=True),
    "purge": lambda tx: notifications.purge(tx, 100),
    "delete_of": lambda tx: notifications.delete_of(tx, "users/7"),
    "outgoing take": lambda tx: outgoing_messages.take(tx, Channel.EMAIL),
    "endpoints count_of": lambda tx: webhook_endpoints.count_of(tx, "users/7"),
    "endpoints find": lambda tx: webhook_endpoints.find(tx, ENDPOINT, lock=True),
    "list_endpoints": deep_endpoints,
    "endpoints lease": webhook_endpoints.lease,
    "endpoints release": lambda tx: webhook_endpoints.release(tx, ENDPOINT),
    "endpoints delete_of": lambda tx: webhook_endpoints.delete_of(tx, "users/7"),
    "wakeups drain": webhook_wakeups.drain,
    "messages publish": lambda tx: webhook_messages.publish(tx, MESSAGE),
    "messages delete_of": lambda tx: webhook_messages.delete_of(tx, "users/7"),
    "messages purge": lambda tx: webhook_messages.purge(tx, 100),
    "deliveries find": lambda tx: webhook_deliveries.find(tx, uuid4()),
    "list_due": lambda tx: webhook_deliveries.list_due(tx, ENDPOINT, 8),
    "deliveries has_more_than": lambda tx: webhook_deliveries.has_more_than(tx, ENDPOINT, 50, since=datetime.now(UTC)),
    "list_deliveries": deep_deliveries,
    "preferences find": lambda tx: preferences.find(tx, "users/7"),
    "preferences delete_of": lambda tx: preferences.delete_of(tx, "users/7"),
    "phone_codes claim": lambda tx: phone_codes.claim(tx, b"7"),
    "phone_codes find": lambda tx: phone_codes.find(tx, "users/7"),
    "phone_codes write": lambda tx: phone_codes.write(tx, CODE),
    "phone_codes delete_of": lambda tx: phone_codes.delete_of(tx, "users/7"),
    "mailed_addresses claim": lambda tx: mailed_addresses.claim(tx, b"7"),
    "erased_users add": lambda tx: erased_users.add(tx, b"7"),
    "erased_users contains": lambda tx: erased_users.contains(tx, b"7"),
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many notifications and webhooks."""
    async with filled_database(postgres, "notifications", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every read uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
