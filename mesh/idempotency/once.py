"""One effect for each request_id (AIP-155): the first response is stored and returned again."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from protobuf import Message

from mesh.database import Connection, Database
from mesh.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    Unauthenticated,
)
from mesh.idempotency import stored_responses
from mesh.idempotency.canonical_form import REQUEST_ID_FIELD, canonical_form
from mesh.idempotency.stored_responses import RequestKey, StoredResponse
from mesh.rpc import Call

Res = TypeVar("Res", bound=Message)
Prepared = TypeVar("Prepared")

REQUEST_ID_LENGTH_MAX = 128

# The errors that tell of the state of the system, which a concurrent call may have changed. The others tell that it
# doesn't work for now. A look at the database would add to that: an outage would have each call and retry write.
_OF_STATE = (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    Unauthenticated,
)


async def once(tx: Connection, call: Call, request: Message, effect: Callable[[], Awaitable[Res]]) -> Res:
    """Runs `effect` in the transaction `tx`, or returns the response to an earlier call of the same caller, method and
    request_id.

    The response is stored in the same transaction, for 24 hours: after an error the call may be repeated. Without a
    request_id the effect just runs. Raises InvalidArgument (REQUEST_ID_REUSED) if the id was used for a request that
    differs in more than its request_id and its etag, and Aborted if a concurrent call with the same id does not end in
    time.
    """
    key = _key(call, request)
    if key is None:
        return await effect()
    request_hash = _hash(request)
    if await stored_responses.claim(tx, key, request_hash):
        response = await effect()
        await stored_responses.keep(tx, key, response.to_binary())
        return response
    stored = await stored_responses.find(tx, key)
    assert stored is not None, "the row exists and is locked: the claim conflicted with it"
    earlier: Res = _response(stored, request_hash, call)
    return earlier


async def once_prepared(
    database: Database,
    call: Call,
    request: Message,
    prepare: Callable[[], Awaitable[Prepared]],
    effect: Callable[[Connection, Prepared], Awaitable[Res]],
) -> Res:
    """Runs `prepare` outside of a transaction, then `effect` with its result in one, as once() does.

    It is for calls that do something slow, such as calling another service, before their effect. A repeated call skips
    that: the stored response is looked up first. Raises as once() does, and as `prepare` does. If that error tells of
    the state of the system, and a concurrent call with the same id has the effect, its response is returned instead: it
    may have changed what this one found, such as a password.
    """
    key = _key(call, request)
    if key is not None:
        async with database.autocommit() as connection:
            stored = await stored_responses.find(connection, key)
        if stored is not None:
            earlier: Res = _response(stored, _hash(request), call)
            return earlier
    try:
        prepared = await prepare()
    except _OF_STATE:
        if key is None or (stored := await _concurrent(database, key, _hash(request))) is None:
            raise
        concurrent: Res = _response(stored, _hash(request), call)
        return concurrent
    async with database.transaction() as tx:
        return await once(tx, call, request, lambda: effect(tx, prepared))


async def _concurrent(database: Database, key: RequestKey, request_hash: bytes) -> StoredResponse | None:
    """Returns the response to a concurrent call, for whose end this one waits. None if it failed or there is none."""
    async with database.transaction() as tx:
        if not await stored_responses.claim(tx, key, request_hash):
            return await stored_responses.find(tx, key)
        await stored_responses.forget(tx, key)
    return None


def _key(call: Call, request: Any) -> RequestKey | None:
    """Returns the key of a call, None without a request_id. Raises InvalidArgument if the id is malformed."""
    request_id: str = request.request_id
    if not request_id:
        return None
    if len(request_id) > REQUEST_ID_LENGTH_MAX or not (request_id.isascii() and request_id.isprintable()):
        raise _invalid(f"must be at most {REQUEST_ID_LENGTH_MAX} printable ASCII characters", "REQUEST_ID_INVALID")
    return RequestKey.of(call.caller.subject, call.path, request_id)


def _hash(request: Message) -> bytes:
    return hashlib.sha256(canonical_form(request)).digest()


def _response(stored: StoredResponse, request_hash: bytes, call: Call) -> Any:
    """Returns the stored response. Raises InvalidArgument if it belongs to another request."""
    if stored.request_hash != request_hash:
        raise _invalid("was already used for a different request; use a new one", "REQUEST_ID_REUSED")
    return call.response.from_binary(stored.response)


def _invalid(description: str, reason: str) -> InvalidArgument:
    violation = FieldViolation(REQUEST_ID_FIELD, description, reason)
    return InvalidArgument(f"{REQUEST_ID_FIELD} {description}.", reason=reason, violations=[violation])
