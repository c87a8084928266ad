"""Verification of access tokens (JWTs by RFC 9068) with the issuer's public keys.

Every process verifies tokens itself, and trusts no header that names a caller.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from mesh.errors import MeshError, Unauthenticated, Unavailable
from mesh.identity.caller import ANONYMOUS, Caller
from mesh.identity.ended_tokens import EndedTokens
from mesh.identity.key_set import KeySet
from mesh.identity.token_errors import expired, invalid, revoked

TOKEN_BYTES_MAX = 8192

RECHECK_S: Final = 1.0
"""The time between two checks of a token with which a stream was opened."""


class Verifier:
    """The verifier of access tokens. It caches the caller of a token until the token expires or the keys change."""

    REMEMBERED_MAX = 4_000  # of TOKEN_BYTES_MAX each

    def __init__(self, keys: KeySet, issuer: str, audience: str, ended: EndedTokens | None = None) -> None:
        """Does not check an empty `issuer` or `audience`. With both, accepts only access tokens by RFC 9068. Without
        `ended`, as for issuers that have no such list, a token is valid until it expires.
        """
        from mesh.identity.signed_tokens import TokenReader  # only now, because of its size

        self._keys = keys
        self._ended = ended
        self._tokens = TokenReader(issuer, audience, with_ended_ids=ended is not None)
        self._remembered: OrderedDict[str, Caller] = OrderedDict()
        self._revision = 0  # of the keys by which these were verified

    async def verify(self, token: str) -> Caller:
        """Returns the caller of a token. Raises Unauthenticated if the token is not valid, Unavailable if it can't be
        verified for now.
        """
        if (revision := self._keys.revision()) != self._revision:
            self._remembered.clear()
            self._revision = revision
        caller = self._remembered.get(token)
        if caller is None:
            caller = await self._verify(token)
            if self._keys.revision() == revision:
                self._remember(token, caller)
        if (error := self._invalidity(caller)) is not None:
            self._remembered.pop(token, None)
            raise error
        return caller

    @contextlib.contextmanager
    def watching(self, caller: Caller, stop: Callable[[MeshError], None]) -> Iterator[None]:
        """Returns a context in which `stop` is called when the token of a caller expires or ends, with the error of
        calls with it from then on. An anonymous caller has none.
        """
        if caller is ANONYMOUS:
            yield
            return
        watching = asyncio.create_task(self._watch(caller, stop), name="token of a stream")
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self, caller: Caller, stop: Callable[[MeshError], None]) -> None:
        revision: int | None = None
        while True:
            try:
                if (error := self._invalidity(caller)) is not None:
                    raise error
                if revision != (revision := self._keys.revision()):
                    await self.verify(caller.token)
            except Unavailable:  # the keys or the list can't be fetched, which ends no stream
                revision = None
            except Unauthenticated as error:
                stop(error)
                return
            await asyncio.sleep(min(RECHECK_S, max(0.0, caller.expires_at - time.time())))

    def _invalidity(self, caller: Caller) -> Unauthenticated | None:
        if caller.expires_at <= time.time():
            return expired()
        if self._ended is not None and self._ended.holds(caller.ended_ids):
            return revoked()
        return None

    def _remember(self, token: str, caller: Caller) -> None:
        self._remembered[token] = caller
        if len(self._remembered) > self.REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    async def _verify(self, token: str) -> Caller:
        if len(token) > TOKEN_BYTES_MAX:
            raise invalid()
        kid = self._tokens.key_id(token)
        key = await self._keys.find(kid) if kid is not None else None
        if key is None:
            raise invalid()
        caller = self._tokens.caller(token, key)
        if self._ended is not None:
            await self._ended.ready()
        return caller
