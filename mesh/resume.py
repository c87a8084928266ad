"""Streams that resume after a loss: each response carries a `resume_token`, and a request that brings it back goes on
after that response.

The token is a position (mesh.position), so that any replica can resume what another began.
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
"""How long resuming() tries to open a lost stream again."""

WAIT_S_MAX: Final = 5.0

Req = TypeVar("Req", bound=Message)
Res = TypeVar("Res", bound=Message)


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a stream begins: after the key `after`, or at its start if that is None."""

    after: tuple[Key, ...] | None
    _query: str

    def token(self, *key: Key) -> str:
        """Returns the token of a response whose position is this key."""
        return encode(self._query, key)


def read_resume_token(token: str, *, query: Sequence[str], key_types: Sequence[type[Key]]) -> Resume:
    """Returns where a request wants its stream to begin. `query` is all that decides which responses there are, in
    which order. Raises InvalidArgument with a violation of resume_token if it is not one of this stream's.
    """
    streamed = fingerprint(query)
    if not token:
        return Resume(None, streamed)
    try:
        return Resume(decode(streamed, token, key_types), streamed)
    except ValueError as error:
        violation = FieldViolation(FIELD, str(error), "RESUME_TOKEN_INVALID")
        raise InvalidArgument(f"{FIELD} {error}.", reason="RESUME_TOKEN_INVALID", violations=[violation]) from error


async def resuming(
    open_stream: Callable[[Req], AbstractAsyncContextManager[AsyncIterator[Res]]],
    request: Req,
    *,
    patience_s: float = PATIENCE_S,
) -> AsyncGenerator[Res, None]:
    """Yields the responses of a stream, opened again after the last of them whenever it is lost: when its server stops
    or goes away. `open_stream` is the method of a typed client; `request` is changed.

    Raises Unavailable once `patience_s` have passed without a response, and at once any other error the stream ends
    with.
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
