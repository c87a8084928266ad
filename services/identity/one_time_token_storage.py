"""The SQL of one-time tokens. Every function runs in its caller's transaction."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg

from mesh.database import Connection
from services.identity.one_time_tokens import OneTimeToken, Purpose

TOKENS_PER_PURPOSE_MAX = 10
PURGED_PER_CALL_MAX = 2  # more than the one row that a call may add, so that the table stays bounded

_TOKEN = "id, user_uid, purpose, email, expire_time"


async def insert_token(tx: Connection, user_uid: UUID, purpose: Purpose, email: str) -> UUID:
    """Adds a token for a user that the transaction has locked or added, and returns its identifier. Deletes some
    expired tokens, and the user's oldest ones beyond TOKENS_PER_PURPOSE_MAX.
    """
    await tx.execute(
        """
        DELETE FROM one_time_tokens WHERE id IN (
            SELECT id FROM one_time_tokens WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_CALL_MAX,
    )
    await tx.execute(
        """
        DELETE FROM one_time_tokens WHERE id IN (
            SELECT id FROM one_time_tokens WHERE user_uid = $1 AND purpose = $2 ORDER BY create_time DESC OFFSET $3
        )
        """,
        user_uid,
        purpose,
        TOKENS_PER_PURPOSE_MAX - 1,
    )
    query = """
        INSERT INTO one_time_tokens (id, user_uid, purpose, email, expire_time) VALUES ($1, $2, $3, $4, now() + $5)
    """
    token_id = uuid4()
    await tx.execute(query, token_id, user_uid, purpose, email, purpose.lifetime)
    return token_id


async def find_token(tx: Connection, token_id: UUID) -> OneTimeToken | None:
    """Returns a token, None if there is none or it has expired."""
    row = await tx.fetchrow(f"SELECT {_TOKEN} FROM one_time_tokens WHERE id = $1 AND expire_time > now()", token_id)
    return None if row is None else _token(row)


async def redeem_token(tx: Connection, token_id: UUID, purposes: Collection[Purpose]) -> OneTimeToken | None:
    """Deletes a token, so that nobody uses it again, and returns it; None if there is none for one of the purposes or
    it has expired. If two transactions redeem the same token, one succeeds.
    """
    query = f"""
        DELETE FROM one_time_tokens WHERE id = $1 AND purpose = ANY($2) AND expire_time > now() RETURNING {_TOKEN}
    """
    row = await tx.fetchrow(query, token_id, list(purposes))
    return None if row is None else _token(row)


async def delete_tokens(tx: Connection, user_uid: UUID, purposes: Collection[Purpose]) -> None:
    """Deletes the tokens of a user for these purposes."""
    await tx.execute("DELETE FROM one_time_tokens WHERE user_uid = $1 AND purpose = ANY($2)", user_uid, list(purposes))


async def time_since_last(tx: Connection, user_uid: UUID, purpose: Purpose) -> timedelta | None:
    """Returns the age of the user's newest token for a purpose, None if there is none."""
    query = """
        SELECT now() - create_time FROM one_time_tokens WHERE user_uid = $1 AND purpose = $2
        ORDER BY create_time DESC LIMIT 1
    """
    age: timedelta | None = await tx.fetchval(query, user_uid, purpose)
    return age


def _token(row: asyncpg.Record) -> OneTimeToken:
    return OneTimeToken(row["id"], row["user_uid"], Purpose(row["purpose"]), row["email"], row["expire_time"])
