"""Channels whose calls carry an access token."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from grpclib.client import Channel, Stream
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.metadata import Deadline
from multidict import MultiDict

from meshwright_client.tokens import Tokens


def authorized_channel(host: str, port: int, tokens: Tokens, **options: Any) -> Channel:
    """Returns a channel of grpclib that adds an access token to each call. `options` are those of Channel.

    A call waits for a token where a new one is needed, within its timeout, and raises what `Tokens.access_token`
    raises. After a call that fails with UNAUTHENTICATED, the next one obtains a new token.
    """
    return _AuthorizedChannel(tokens, host, port, **options)


class _AuthorizedChannel(Channel):
    def __init__(self, tokens: Tokens, host: str, port: int, **options: Any) -> None:
        super().__init__(host, port, **options)
        self._tokens = tokens

    # The channel's events do not show which call a status belongs to, and some failures are no event.
    @asynccontextmanager
    async def request(  # type: ignore[override]
        self,
        *method: Any,
        timeout: float | None = None,
        deadline: Deadline | None = None,
        metadata: Mapping[str, str | bytes] | Collection[tuple[str, str | bytes]] | None = None,
    ) -> AsyncIterator[Stream[Any, Any]]:
        """Opens a call, as Channel does."""
        ends = [each for each in (deadline, None if timeout is None else Deadline.from_timeout(timeout)) if each]
        earliest = min(ends, default=None)
        async with asyncio.timeout(None if earliest is None else earliest.time_remaining()):
            token = await self._tokens.access_token()
        authorized = MultiDict(metadata or ())
        authorized["authorization"] = f"Bearer {token}"
        try:
            async with super().request(*method, deadline=earliest, metadata=authorized) as stream:
                yield stream
        except GRPCError as error:
            if error.status is Status.UNAUTHENTICATED:
                self._tokens.forget(token)
            raise
