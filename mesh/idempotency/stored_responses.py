"""The table mesh.answers: responses, kept for 24 hours, each under the caller, method and id of its request."""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from mesh.database import Connection

KEPT_FOR = timedelta(hours=24)
PURGED_PER_CALL_MAX = 2  # more than the one row that a call may add, so that the table stays bounded

_UUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)

# A concurrent transaction of the same request waits here until the first ends, then finds its row, unless it failed.
_CLAIM = """
INSERT INTO mesh.answers AS answer (caller, method, request_id, request_hash, expires_at)
VALUES ($1, $2, $3, $4, now() + $5)
ON CONFLICT (caller, method, request_id) DO UPDATE
    SET request_hash = excluded.request_hash, response = '', expires_at = excluded.expires_at
    WHERE answer.expires_at <= now()
RETURNING true
"""
_FIND = """
SELECT request_hash, response FROM mesh.answers
WHERE caller = $1 AND method = $2 AND request_id = $3 AND expires_at > now()
"""
_FORGET = "DELETE FROM mesh.answers WHERE caller = $1 AND method = $2 AND request_id = $3"
_FORGET_MENTIONS = """
DELETE FROM mesh.answers
WHERE caller = $1 AND method = $2 AND position(lower($3) IN lower(encode(response, 'escape'))) > 0
"""
_FORGET_CALLER = "DELETE FROM mesh.answers WHERE caller = $1"
_KEEP = """
WITH purged AS (
    DELETE FROM mesh.answers WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM mesh.answers WHERE expires_at <= now() ORDER BY expires_at LIMIT $5 FOR UPDATE SKIP LOCKED
    ))
)
UPDATE mesh.answers SET response = $4 WHERE caller = $1 AND method = $2 AND request_id = $3
"""


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The identity of a request: its id is unique for one caller and one method."""

    caller: str
    method: str
    request_id: str

    @classmethod
    def of(cls, caller: str, method: str, request_id: str) -> Self:
        """Returns the key of a request_id as it was sent. A UUID is the same in upper and lower case: RFC 9562,
        section 4.
        """
        return cls(caller, method, request_id.lower() if _UUID.fullmatch(request_id) else request_id)


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A stored response, and the hash of its request."""

    request_hash: bytes
    response: bytes


async def claim(tx: Connection, key: RequestKey, request_hash: bytes) -> bool:
    """Claims a key for this transaction; returns False if it has a response. A concurrent transaction that claims the
    same key waits here until this one ends.
    """
    return bool(await tx.fetchval(_CLAIM, key.caller, key.method, key.request_id, request_hash, KEPT_FOR))


async def keep(tx: Connection, key: RequestKey, response: bytes) -> None:
    """Stores the response for a key that this transaction has claimed, and deletes some expired responses."""
    await tx.execute(_KEEP, key.caller, key.method, key.request_id, response, PURGED_PER_CALL_MAX)


async def find(tx: Connection, key: RequestKey) -> StoredResponse | None:
    """Returns the response for a key, None if there is none or it has expired."""
    row = await tx.fetchrow(_FIND, key.caller, key.method, key.request_id)
    return None if row is None else StoredResponse(row["request_hash"], row["response"])


async def forget(tx: Connection, key: RequestKey) -> None:
    """Deletes a response before its 24 hours are over, as when the personal data in it must be erased."""
    await tx.execute(_FORGET, key.caller, key.method, key.request_id)


async def forget_mentions(tx: Connection, caller: str, method: str, text: str) -> None:
    """Deletes the responses of a method to a caller that contain a text of ASCII, in upper or lower case. It reads all
    of them.
    """
    await tx.execute(_FORGET_MENTIONS, caller, method, text)


async def forget_caller(tx: Connection, caller: str) -> None:
    """Deletes all responses to a caller whose personal data must be erased."""
    await tx.execute(_FORGET_CALLER, caller)
