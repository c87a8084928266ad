"""Verification of access tokens (JWTs by RFC 9068) with the issuer's public keys.

Every process verifies tokens itself, and trusts no header that names a caller.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError

from mesh.errors import MeshError, Unauthenticated
from mesh.identity.caller import ANONYMOUS, Caller
from mesh.identity.ended_tokens import EndedTokens, ended_ids
from mesh.identity.key_set import KeySet, PublicKey, algorithms_of

TOKEN_BYTES_MAX = 8192
INVALID: Final = "TOKEN_INVALID"
REVOKED: Final = "TOKEN_REVOKED"

NOT_BEFORE_LEEWAY_S: Final = 60
"""The leeway for clocks of issuers that are ahead, with which "nbf" is checked (RFC 7519, section 4.1.5). "exp" has
none: an issuer remembers an ended token only until it has expired.
"""

MALFORMED: Final = (JoseError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
"""The errors of reading a token that is not one, or has numbers or nesting beyond what Python reads."""

RECHECK_S: Final = 1.0
"""The time between two checks of a token with which a stream was opened."""


class Verifier:
    """The verifier of access tokens. It caches the caller of a token until the token expires."""

    REMEMBERED_MAX = 4_000  # of TOKEN_BYTES_MAX each

    def __init__(self, keys: KeySet, issuer: str, audience: str, ended: EndedTokens | None = None) -> None:
        """Does not check an empty `issuer` or `audience`. With both, accepts only access tokens by RFC 9068. Without
        `ended`, as for issuers that have no such list, a token is valid until it expires.
        """
        self._keys = keys
        self._ended = ended
        self._typed = bool(issuer and audience)
        wanted: dict[str, Any] = {"sub": {"essential": True}, "exp": {"essential": True}}
        for name, value in (("iss", issuer), ("aud", audience)):
            if value:
                wanted[name] = {"essential": True, "value": value}
        self._claims = jwt.JWTClaimsRegistry(leeway=NOT_BEFORE_LEEWAY_S, **wanted)
        self._remembered: OrderedDict[str, Caller] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """Returns the caller of a token. Raises Unauthenticated if the token is not valid, Unavailable if it can't be
        verified for now.
        """
        caller = self._remembered.get(token)
        if caller is None:
            caller = await self._verify(token)
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
        while (error := self._invalidity(caller)) is None:
            await asyncio.sleep(min(RECHECK_S, max(0.0, caller.expires_at - time.time())))
        stop(error)

    def _invalidity(self, caller: Caller) -> Unauthenticated | None:
        if caller.expires_at <= time.time():
            return _expired()
        if self._ended is not None and self._ended.holds(caller.ended_ids):
            return _ended()
        return None

    def _remember(self, token: str, caller: Caller) -> None:
        self._remembered[token] = caller
        if len(self._remembered) > self.REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    async def _verify(self, token: str) -> Caller:
        if len(token) > TOKEN_BYTES_MAX:
            raise _invalid()
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid", "")
        except MALFORMED as error:
            raise _invalid() from error
        key = await self._keys.find(kid) if isinstance(kid, str) else None
        if key is None:
            raise _invalid()
        caller = self._decode(token, key)
        if self._ended is not None:
            await self._ended.ready()
        return caller

    def _decode(self, token: str, key: PublicKey) -> Caller:
        try:
            decoded = jwt.decode(token, key, algorithms=algorithms_of(key.as_dict(private=False)))
            # RFC 9068, section 4: without this check an ID token of the same issuer would pass for an access token.
            if self._typed and decoded.header.get("typ", "").lower() not in ("at+jwt", "application/at+jwt"):
                raise _invalid()
            claims = decoded.claims
            # "iat" only tells the age of a token (RFC 7519, section 4.1.6), so a clock that is ahead is no reason to
            # reject it. The leeway does not apply to "exp", which verify() checks again at every use.
            self._claims.validate({name: value for name, value in claims.items() if name != "iat"})
            scopes = frozenset(str(claims.get("scope", "")).split())
            ids = ended_ids(claims) if self._ended is not None else ()
            return Caller(str(claims["sub"]), scopes, token, float(claims["exp"]), ids)
        except ExpiredTokenError as error:
            raise _expired() from error
        except MALFORMED as error:
            raise _invalid() from error


def _invalid() -> Unauthenticated:
    return Unauthenticated("The access token is not valid.", reason=INVALID)


def _expired() -> Unauthenticated:
    return Unauthenticated("The access token has expired. Get a new one.", reason="TOKEN_EXPIRED")


def _ended() -> Unauthenticated:
    return Unauthenticated("The access token was revoked, or its user is gone. Sign in again.", reason=REVOKED)
