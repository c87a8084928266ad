"""One effect for each request_id (AIP-155): the first answer is stored and returned again."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from protobuf import Message

from mesh.database import Connection, Database
from mesh.errors import FieldViolation, InvalidArgument
from mesh.idempotency import answers
from mesh.idempotency.answers import Answer, Key
from mesh.idempotency.canonical_form import REQUEST_ID_FIELD, canonical_form
from mesh.rpc import Call

Res = TypeVar("Res", bound=Message)
Prepared = TypeVar("Prepared")

REQUEST_ID_LENGTH_MAX = 128


async def once(tx: Connection, call: Call, request: Message, effect: Callable[[], Awaitable[Res]]) -> Res:
    """Runs `effect` in the transaction `tx`, or returns the answer to an earlier call of the same caller, method and
    request_id.

    The answer is stored in the same transaction, for 24 hours: after an error the call may be repeated. Without a
    request_id the effect just runs. Raises InvalidArgument (REQUEST_ID_REUSED) if the id was used for a request that
    differs in more than its request_id, and Aborted if a concurrent call with the same id does not end in time.
    """
    key = _key(call, request)
    if key is None:
        return await effect()
    request_hash = _hash(request)
    if await answers.claim(tx, key, request_hash):
        answer = await effect()
        await answers.keep(tx, key, answer.to_binary())
        return answer
    kept = await answers.find(tx, key)
    assert kept is not None, "the row exists and is locked: the claim conflicted with it"
    response: Res = _response(kept, request_hash, call)
    return response


async def once_prepared(
    database: Database,
    call: Call,
    request: Message,
    prepare: Callable[[], Awaitable[Prepared]],
    effect: Callable[[Connection, Prepared], Awaitable[Res]],
) -> Res:
    """Runs `prepare` outside of a transaction, then `effect` with its result in one, as once() does.

    It is for calls that do something slow, such as calling another service, before their effect. A repeated call skips
    that: its stored answer is looked up first. Raises as once() does.
    """
    key = _key(call, request)
    if key is not None:
        async with database.transaction() as tx:
            kept = await answers.find(tx, key)
        if kept is not None:
            response: Res = _response(kept, _hash(request), call)
            return response
    prepared = await prepare()
    async with database.transaction() as tx:
        return await once(tx, call, request, lambda: effect(tx, prepared))


def _key(call: Call, request: Any) -> Key | None:
    """Returns the key of a call, None without a request_id. Raises InvalidArgument if the id is malformed."""
    request_id: str = request.request_id
    if not request_id:
        return None
    if len(request_id) > REQUEST_ID_LENGTH_MAX or not (request_id.isascii() and request_id.isprintable()):
        raise _invalid(f"must be at most {REQUEST_ID_LENGTH_MAX} printable ASCII characters", "REQUEST_ID_INVALID")
    return Key(call.caller.subject, call.path, request_id)


def _hash(request: Message) -> bytes:
    return hashlib.sha256(canonical_form(request)).digest()


def _response(kept: Answer, request_hash: bytes, call: Call) -> Any:
    """Returns the stored answer. Raises InvalidArgument if it belongs to another request."""
    if kept.request_hash != request_hash:
        raise _invalid("was already used for a different request; use a new one", "REQUEST_ID_REUSED")
    return call.response.from_binary(kept.response)


def _invalid(description: str, reason: str) -> InvalidArgument:
    violation = FieldViolation(REQUEST_ID_FIELD, description, reason)
    return InvalidArgument(f"{REQUEST_ID_FIELD} {description}.", reason=reason, violations=[violation])
