"""The SQL of conversations and their messages. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.pagination import Page
from mesh.position import Key
from services.support.domain import ChatMessage, Conversation, State

# The parts of the sort keys of list_conversations() (create_time, uid) and list_messages() (number).
CONVERSATION_KEY_TYPES: tuple[type[Key], ...] = (datetime, UUID)
MESSAGE_KEY_TYPES: tuple[type[Key], ...] = (int,)

CHANNEL = "support_conversations"
"""The channel of NOTIFY after a conversation has changed. The payload is its uid."""

READ_MAX = 10  # messages, of up to 16 KB, that a stream holds while its client does not read

_CONVERSATION = "uid, customer, subject, state, message_count, create_time, update_time, version"
_MESSAGE = "conversation_uid, number, sender, from_staff, text, create_time, request_id"


async def insert(tx: Connection, conversation: Conversation) -> None:
    """Inserts a new conversation."""
    await tx.execute(
        f"INSERT INTO conversations ({_CONVERSATION}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        conversation.uid,
        conversation.customer,
        conversation.subject,
        conversation.state.value,
        conversation.message_count,
        conversation.create_time,
        conversation.update_time,
        conversation.version,
    )


async def update(tx: Connection, conversation: Conversation) -> None:
    """Writes the fields of a conversation that can change, and wakes its streams at the commit. The row must be locked
    by find(…, lock=True) in this transaction.
    """
    await tx.execute(
        """
        UPDATE conversations SET state = $2, message_count = $3, update_time = $4, version = $5 WHERE uid = $1
        """,
        conversation.uid,
        conversation.state.value,
        conversation.message_count,
        conversation.update_time,
        conversation.version,
    )
    await wake(tx, [conversation.uid])


async def wake(tx: Connection, conversations: Sequence[UUID]) -> None:
    """Wakes the streams of these conversations, at every replica, at the commit."""
    await tx.execute("SELECT pg_notify($1, uid::text) FROM unnest($2::uuid[]) AS uid", CHANNEL, conversations)


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> Conversation | None:
    """Returns a conversation, None if there is none; with `lock`, locks it until the transaction ends."""
    query = f"SELECT {_CONVERSATION} FROM conversations WHERE uid = $1 {'FOR NO KEY UPDATE' if lock else ''}"
    row = await tx.fetchrow(query, uid)
    return None if row is None else _conversation(row)


async def count_open(tx: Connection, customer: str) -> int:
    """Returns the number of open conversations of a customer."""
    query = "SELECT count(*) FROM conversations WHERE customer = $1 AND state = $2"
    count: int = await tx.fetchval(query, customer, State.OPEN.value)
    return count


async def list_conversations(
    tx: Connection, customer: str | None, state: State | None, page: Page
) -> tuple[Sequence[Conversation], str]:
    """Returns a page of the conversations of one customer, or of all if None, in one state, or in all if None, the
    newest first, and the next page's token.
    """
    conditions = ["true"]
    arguments: list[object] = [page.limit]
    if customer is not None:
        arguments.append(customer)
        conditions.append(f"customer = ${len(arguments)}")
    if state is not None:
        arguments.append(state.value)
        conditions.append(f"state = ${len(arguments)}")
    if page.after is not None:
        conditions.append(f"(create_time, uid) < (${len(arguments) + 1}, ${len(arguments) + 2})")
        arguments.extend(page.after)
    query = f"""
        SELECT {_CONVERSATION} FROM conversations
        WHERE {" AND ".join(conditions)} ORDER BY create_time DESC, uid DESC LIMIT $1
    """
    rows = await tx.fetch(query, *arguments)
    return page.split([_conversation(row) for row in rows], lambda each: (each.create_time, each.uid))


async def insert_message(tx: Connection, message: ChatMessage) -> None:
    """Inserts a message. The row of its conversation must be locked, so that messages are committed in their order."""
    await tx.execute(
        f"INSERT INTO messages ({_MESSAGE}) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        message.conversation,
        message.number,
        message.sender,
        message.from_staff,
        message.text,
        message.create_time,
        message.request_id,
    )


async def find_posted(tx: Connection, conversation: UUID, sender: str, request_id: UUID) -> ChatMessage | None:
    """Returns the message that a sender posted with this request_id, None if there is none."""
    query = f"SELECT {_MESSAGE} FROM messages WHERE conversation_uid = $1 AND sender = $2 AND request_id = $3"
    row = await tx.fetchrow(query, conversation, sender, request_id)
    return None if row is None else _message(row)


async def list_messages(tx: Connection, conversation: UUID, page: Page) -> tuple[Sequence[ChatMessage], str]:
    """Returns a page of the messages of a conversation, the newest first, and the next page's token."""
    older = "AND number < $3::bigint" if page.after else ""
    query = f"SELECT {_MESSAGE} FROM messages WHERE conversation_uid = $1 {older} ORDER BY number DESC LIMIT $2"
    rows = await tx.fetch(query, conversation, page.limit, *(page.after or ()))
    return page.split([_message(row) for row in rows], lambda each: (each.number,))


async def read_messages(tx: Connection, conversation: UUID, after: int) -> Sequence[ChatMessage]:
    """Returns the messages after this number, in their order, at most READ_MAX."""
    query = f"""
        SELECT {_MESSAGE} FROM messages
        WHERE conversation_uid = $1 AND number > $2::bigint ORDER BY number LIMIT {READ_MAX}
    """
    return [_message(row) for row in await tx.fetch(query, conversation, after)]


def _conversation(row: "asyncpg.Record") -> Conversation:
    return Conversation(
        row["uid"],
        row["customer"],
        row["subject"],
        State(row["state"]),
        row["message_count"],
        row["create_time"],
        row["update_time"],
        row["version"],
    )


def _message(row: "asyncpg.Record") -> ChatMessage:
    return ChatMessage(
        row["conversation_uid"],
        row["number"],
        row["sender"],
        row["from_staff"],
        row["text"],
        row["create_time"],
        row["request_id"],
    )
