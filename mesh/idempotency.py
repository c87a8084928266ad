"""One effect for one request_id (AIP-155): the first answer is kept and given again."""

import copy
import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import asyncpg
from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Message

from mesh.database import Connection
from mesh.errors import FieldViolation, InvalidArgument

Res = TypeVar("Res", bound=Message)

REQUEST_ID_FIELD = "request_id"
REQUEST_ID_LENGTH_MAX = 128
KEPT_FOR = timedelta(hours=24)
PURGED_PER_CALL_MAX = 2  # each call adds one row at most, so the table does not grow without end

# A concurrent twin of the transaction waits here until the first ends, then finds its row, or none if it failed.
_CLAIM = """
INSERT INTO mesh.answers AS answer (caller, method, request_id, request_hash, expires_at)
VALUES ($1, $2, $3, $4, now() + $5)
ON CONFLICT (caller, method, request_id) DO UPDATE
    SET request_hash = excluded.request_hash, response = '', expires_at = excluded.expires_at
    WHERE answer.expires_at <= now()
RETURNING true
"""
_FIND = "SELECT request_hash, response FROM mesh.answers WHERE caller = $1 AND method = $2 AND request_id = $3"
_FORGET = "DELETE FROM mesh.answers WHERE caller = $1 AND method = $2 AND request_id = $3"
_KEEP = """
WITH purged AS (
    DELETE FROM mesh.answers WHERE (caller, method, request_id) IN (
        SELECT caller, method, request_id FROM mesh.answers
        WHERE expires_at <= now() ORDER BY expires_at LIMIT $5 FOR UPDATE SKIP LOCKED
    )
)
UPDATE mesh.answers SET response = $4 WHERE caller = $1 AND method = $2 AND request_id = $3
"""


async def once(
    tx: Connection,
    *,
    caller: str,
    method: str,
    request_id: str,
    request: Message,
    effect: Callable[[], Awaitable[Res]],
    response: type[Res],
) -> Res:
    """Runs `effect` in the transaction `tx`, or gives the answer it gave before to the same caller, method and id.

    An answer is kept for 24 hours, with the effect or not at all: after an error the call may be repeated. Without a
    request_id the effect just runs. Raises InvalidArgument (REQUEST_ID_REUSED) when the id was used for a request
    that differs in more than its request_id, and Aborted when a concurrent twin does not end in time.
    """
    if not request_id:
        return await effect()
    _check(request_id)
    key = (caller, method, request_id)
    request_hash = hashlib.sha256(canonical_form(request)).digest()
    if await tx.fetchval(_CLAIM, *key, request_hash, KEPT_FOR):
        answer = await effect()
        await tx.execute(_KEEP, *key, answer.to_binary(), PURGED_PER_CALL_MAX)
        return answer
    kept = await tx.fetchrow(_FIND, *key)
    assert kept is not None, "the row is there and locked: the claim met it"
    return _answer(kept, request_hash, response)


async def kept_answer(
    tx: Connection, *, caller: str, method: str, request_id: str, request: Message, response: type[Res]
) -> Res | None:
    """The answer that once() would give without running its effect; None if there is none by now.

    For a call that must do something slow, or ask another service, before it opens its transaction: asked first, this
    spares a repeated call all that. Raises InvalidArgument as once() does.
    """
    if not request_id:
        return None
    _check(request_id)
    kept = await tx.fetchrow(f"{_FIND} AND expires_at > now()", caller, method, request_id)
    return None if kept is None else _answer(kept, hashlib.sha256(canonical_form(request)).digest(), response)


async def forget(tx: Connection, *, caller: str, method: str, request_id: str) -> None:
    """Deletes a kept answer, which is due when personal data in it is to be deleted before its 24 hours are over."""
    await tx.execute(_FORGET, caller, method, request_id)


def _answer(kept: "asyncpg.Record", request_hash: bytes, response: type[Res]) -> Res:
    if kept["request_hash"] != request_hash:
        raise _wrong("was already used for a different request; use a new one", "REQUEST_ID_REUSED")
    return response.from_binary(kept["response"])


def canonical_form(request: Message) -> bytes:
    """The request without its request_id, the same bytes for equal requests: entries of a map are sorted by key."""
    form = copy.deepcopy(request)
    for field in form.desc().fields:
        if field.name == REQUEST_ID_FIELD:
            del form[field]
    _sort_maps(form)
    return form.desc().type_name.encode() + b"\0" + form.to_binary()


def _sort_maps(message: Message) -> None:
    for field in list(message):
        kind, value = field.value, message[field]
        if isinstance(kind, DescFieldValueMap):
            message[field] = dict(sorted(value.items()))
            nested = list(value.values()) if isinstance(kind.value, DescMessage) else []
        elif isinstance(kind, DescFieldValueList):
            nested = value if isinstance(kind.element, DescMessage) else []
        else:
            nested = [value] if isinstance(kind, DescFieldValueMessage) else []
        for inner in nested:
            _sort_maps(inner)


def _check(request_id: str) -> None:
    if len(request_id) > REQUEST_ID_LENGTH_MAX or not (request_id.isascii() and request_id.isprintable()):
        raise _wrong(f"must be at most {REQUEST_ID_LENGTH_MAX} printable ASCII characters", "REQUEST_ID_INVALID")


def _wrong(description: str, reason: str) -> InvalidArgument:
    violation = FieldViolation(REQUEST_ID_FIELD, description, reason)
    return InvalidArgument(f"{REQUEST_ID_FIELD} {description}.", reason=reason, violations=[violation])
