"""Resumable streams: each response holds a `resume_token`, and a request with that token continues after the response.

The token is a position (mesh.position), so that any replica can resume a stream that another one began.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from protobuf import Message

from mesh.errors import FieldViolation, InvalidArgument, Unavailable
from mesh.position import Key, decode, encode, fingerprint

FIELD: Final = "resume_token"

PATIENCE_S: Final = 60.0
"""The time for which resuming() tries to reopen a lost stream."""

WAIT_S_MAX: Final = 5.0

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)


@dataclass(frozen=True, slots=True)
class ResumePosition:
    """The position at which a stream begins: after the key `after`, or at its start if that is None."""

    after: tuple[Key, ...] | None
    _query: str

    def token(self, *key: Key) -> str:
        """Returns the token of the response with this key."""
        return encode(self._query, key)


def read_resume_token(token: str, *, query: Sequence[str], key_types: Sequence[type[Key]]) -> ResumePosition:
    """Returns the position at which the stream of a request begins. `query` holds all parameters that determine the
    responses and their order. Raises InvalidArgument with a violation of resume_token if the token belongs to another
    stream.
    """
    streamed = fingerprint(query)
    if not token:
        return ResumePosition(None, streamed)
    try:
        return ResumePosition(decode(streamed, token, key_types), streamed)
    except ValueError as error:
        violation = FieldViolation(FIELD, str(error), "RESUME_TOKEN_INVALID")
        raise InvalidArgument(f"{FIELD} {error}.", reason="RESUME_TOKEN_INVALID", violations=[violation]) from error


async def resuming(
    open_stream: Callable[[Req], AbstractAsyncContextManager[AsyncIterator[Res]]],
    request: Req,
    *,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[Res, None]:
    """Yields the responses of a stream, and reopens it after the last response whenever it is lost because its server
    stops or fails. `open_stream` is the method of a typed client. `request` is modified.

    Raises Unavailable after `patience_s` without a response, and any other error at once.
    """
    sent: Any = request
    failures, give_up_at = 0, time.monotonic() + patience_s
    while True:
        try:
            async with open_stream(request) as responses:
                async for response in responses:
                    received: Any = response
                    sent.resume_token = received.resume_token or sent.resume_token
                    failures, give_up_at = 0, time.monotonic() + patience_s
                    yield response
                return
        except Unavailable:
            if time.monotonic() >= give_up_at:
                raise
        await asyncio.sleep(random.uniform(0, min(WAIT_S_MAX, 0.1 * 2**failures)))
        failures += 1
