"""Indexes for each list and look-up of identity."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from services.identity import (
    attempt_storage,
    code_storage,
    ended_token_storage,
    one_time_token_storage,
    session_storage,
    storage,
)
from services.identity.code_storage import NewCode
from services.identity.one_time_tokens import Purpose
from services.identity.storage import NewFamily, RefreshTokenRotation
from tests.services.indexes import Read, assert_uses_indexes, filled_database, next_page, page

FILL = {
    "users": """
        INSERT INTO users (uid, email, display_name, role, password_hash, request_id)
        SELECT md5(n::text)::uuid, 'user-' || n || '@example.com', 'Ada', 'customer', '', ''
        FROM generate_series(1, $1::int) AS n
    """,
    "refresh_families": """
        INSERT INTO refresh_families (id, user_uid, scopes, token_hash, expire_time, last_use_time)
        SELECT gen_random_uuid(), uid, '{}', '', now() + interval '1 day', now() - number * interval '1 s'
        FROM users, generate_series(1, 3) AS number WHERE $1::int > 0
    """,
    "ended_tokens": """
        INSERT INTO ended_tokens (id, expire_time) SELECT 'token-' || n, now() + (n - 500) * interval '1 s'
        FROM generate_series(1, $1::int) AS n
    """,
    "sign_in_attempts": """
        INSERT INTO sign_in_attempts (key, failures, blocked_until, expire_time)
        SELECT 'key-' || n, 1, now(), now() + (n - 100) * interval '1 s' FROM generate_series(1, $1::int) AS n
    """,
    "known_addresses": """
        INSERT INTO known_addresses SELECT uid, 'address-' || number, now() + interval '1 day'
        FROM users, generate_series(1, 3) AS number WHERE $1::int > 0
    """,
    "one_time_tokens": """
        INSERT INTO one_time_tokens (id, user_uid, purpose, email, expire_time)
        SELECT gen_random_uuid(), uid, purpose, email, now() + (random() - 0.1) * interval '3 days'
        FROM users, unnest(ARRAY['confirm_email', 'reset_password']) AS purpose WHERE $1::int > 0
    """,
    "authorization_codes": """
        INSERT INTO authorization_codes (id, user_uid, client_id, redirect_uri, scopes, code_challenge, expire_time)
        SELECT gen_random_uuid(), uid, 'public', '', '{}', '', now() + (random() - 0.1) * interval '1 minute'
        FROM users WHERE $1::int > 0
    """,
}
USER = UUID(hashlib.md5(b"7", usedforsecurity=False).hexdigest())
EMAIL = "User-77@example.com"
CODE = NewCode(UUID(int=7), USER, "public", "", frozenset(), "")
FAMILY = NewFamily(UUID(int=7), USER, "public", "", frozenset(), b"")
ROTATION = RefreshTokenRotation(UUID(int=7), ("public",), "", b"", b"")


async def deep_sessions(tx: Connection) -> None:
    """Reads two pages."""
    key_types = session_storage.KEY_TYPES
    _, token = await session_storage.list_sessions(tx, USER, page(*key_types, size=2))
    await session_storage.list_sessions(tx, USER, next_page(key_types, token))


async def counted_attempts(tx: Connection) -> None:
    """Locks the counters of three keys, and writes them."""
    _, counters = await attempt_storage.lock_counters(tx, ["key-7", "key-8", "new"])
    await attempt_storage.write_counters(tx, counters)
    await attempt_storage.take_back(tx, {"key-7": datetime.now(UTC)})
    await attempt_storage.reset(tx, "key-7")


async def ended_tokens(tx: Connection) -> None:
    """Adds a token, extends it, and reads from there on."""
    now = datetime.now(UTC)
    sequence = await ended_token_storage.insert_ended(tx, "token-7", now)
    await ended_token_storage.insert_ended(tx, "token-7", now + timedelta(hours=1))
    await ended_token_storage.read_ended(tx, sequence)


READS: dict[str, Read] = {
    "find_user": lambda tx: storage.find_user(tx, UUID(int=7)),
    "find_by_email": lambda tx: storage.find_by_email(tx, EMAIL),
    "lock_user": lambda tx: storage.lock_user(tx, USER),
    "lock_password": lambda tx: storage.lock_password(tx, USER, ""),
    "rename_user": lambda tx: storage.rename_user(tx, USER, "Ada"),
    "set_password": lambda tx: storage.set_password(tx, USER, ""),
    "set_confirmed_email": lambda tx: storage.set_confirmed_email(tx, USER, "new@example.com"),
    "delete_user": lambda tx: storage.delete_user(tx, USER),
    "insert_family": lambda tx: storage.insert_family(tx, FAMILY, timedelta(days=1), timedelta(hours=1)),
    "rotate_family": lambda tx: storage.rotate_family(tx, ROTATION, timedelta(days=1)),
    "is_newest": lambda tx: storage.is_newest(tx, UUID(int=7), b"", "web"),
    "delete_family": lambda tx: storage.delete_family(tx, UUID(int=7)),
    "list_sessions": deep_sessions,
    "delete_session": lambda tx: session_storage.delete_session(tx, USER, UUID(int=7)),
    "session_ids": lambda tx: session_storage.session_ids(tx, USER),
    "delete_sessions": lambda tx: session_storage.delete_sessions(tx, [UUID(int=7), UUID(int=8)]),
    "attempts": counted_attempts,
    "knows_address": lambda tx: attempt_storage.knows_address(tx, USER, "address-1"),
    "remember_address": lambda tx: attempt_storage.remember_address(tx, USER, "new"),
    "insert_code": lambda tx: code_storage.insert_code(tx, CODE),
    "redeem_code": lambda tx: code_storage.redeem_code(tx, UUID(int=7)),
    "delete_codes": lambda tx: code_storage.delete_codes(tx, USER),
    "insert_token": lambda tx: one_time_token_storage.insert_token(tx, USER, Purpose.CONFIRM_EMAIL, EMAIL),
    "find_token": lambda tx: one_time_token_storage.find_token(tx, uuid4()),
    "redeem_token": lambda tx: one_time_token_storage.redeem_token(tx, uuid4(), list(Purpose)),
    "delete_tokens": lambda tx: one_time_token_storage.delete_tokens(tx, USER, tuple(Purpose)),
    "time_since_last": lambda tx: one_time_token_storage.time_since_last(tx, USER, Purpose.CONFIRM_EMAIL),
    "ended_tokens": ended_tokens,
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many users."""
    async with filled_database(postgres, "identity", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every read uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
