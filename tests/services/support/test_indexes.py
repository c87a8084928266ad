"""Indexes for each list and look-up of support."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from local.postgres import Postgres
from mesh.database import Connection, Database
from services.support import erasure_storage, presence_storage, storage
from services.support.domain import Actor, State
from services.support.presence_storage import OpenStream
from tests.services.indexes import Read, assert_uses_indexes, filled_database, next_page, page

FILL = {
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
CONVERSATION = UUID("c4ca4238-a0b9-2382-0dcc-509a6f75849b")  # of the number 1, by md5


async def deep_conversations(tx: Connection, customer: str | None, state: State | None) -> None:
    """Reads two pages."""
    key_types = storage.CONVERSATION_KEY_TYPES
    _, token = await storage.list_conversations(tx, customer, state, page(*key_types, size=5))
    await storage.list_conversations(tx, customer, state, next_page(key_types, token))


async def deep_messages(tx: Connection) -> None:
    """Reads two pages."""
    key_types = storage.MESSAGE_KEY_TYPES
    _, token = await storage.list_messages(tx, CONVERSATION, page(*key_types, size=1))
    await storage.list_messages(tx, CONVERSATION, next_page(key_types, token))


STREAM = OpenStream(UUID(int=7), CONVERSATION, Actor("users/1", staff=False))
READS: dict[str, Read] = {
    "list_conversations": lambda tx: deep_conversations(tx, None, None),
    "list_conversations in a state": lambda tx: deep_conversations(tx, None, State.OPEN),
    "list_conversations of a customer": lambda tx: deep_conversations(tx, "users/7", None),
    "list_conversations of a customer in a state": lambda tx: deep_conversations(tx, "users/7", State.CLOSED),
    "count_open": lambda tx: storage.count_open(tx, "users/7"),
    "find": lambda tx: storage.find(tx, CONVERSATION),
    "find_posted": lambda tx: storage.find_posted(tx, CONVERSATION, "users/1", uuid4()),
    "read_messages": lambda tx: storage.read_messages(tx, CONVERSATION, 1),
    "list_messages": deep_messages,
    "read_participants": lambda tx: presence_storage.read_participants(tx, CONVERSATION),
    "list_participants": lambda tx: presence_storage.list_participants(
        tx, CONVERSATION, page(*presence_storage.KEY_TYPES)
    ),
    "streams renew": lambda tx: presence_storage.renew(tx, [STREAM]),
    "streams end": lambda tx: presence_storage.end(tx, [uuid4()]),
    "is_erased": lambda tx: erasure_storage.ERASED_USERS.contains(tx, "users/7"),
    "erase": lambda tx: erasure_storage.erase(tx, "users/7"),
    "erase staff": lambda tx: erasure_storage.erase(tx, "users/staff-c4"),
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many conversations."""
    async with filled_database(postgres, "support", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_read_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every read uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
