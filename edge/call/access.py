"""Access to methods: tokens, and the scopes and rate limits of the contract."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from edge.call.allowance_table import AllowanceTable
from edge.call.rate_limit import RateLimiter
from edge.contract.method import Method
from edge.http.client_key import client_key
from edge.http.headers import Headers
from mesh.errors import MeshError, Unauthenticated
from mesh.identity import ANONYMOUS, Caller, Verifier, authenticate, authorize, bearer_token


class Access:
    """The access control of one method."""

    def __init__(self, method: Method, verifier: Verifier | None, allowances: AllowanceTable) -> None:
        """Without a verifier, tokens are neither required nor checked, but passed on for the service to check."""
        self._policy = method.policy
        self._verifier = verifier
        limit = method.policy.rate_limit
        self._limiter = RateLimiter(method.name, limit, allowances) if limit is not None else None

    async def identify(self, authorization: str) -> Caller:
        """Returns the caller of an Authorization header. Raises Unauthenticated, or Unavailable while tokens can't be
        verified.
        """
        if not (authorization.isascii() and authorization.isprintable()):
            raise Unauthenticated("The Authorization header must contain only printable ASCII.", reason="TOKEN_INVALID")
        return ANONYMOUS if self._verifier is None else await self._verify(authorization, self._verifier)

    def admit(self, caller: Caller, address: str) -> Headers:
        """Admits a call of a caller at an address. Returns the rate limit headers for the reply. Raises
        PermissionDenied with the missing scope, Unauthenticated if the method requires a caller, ResourceExhausted at
        the rate limit.
        """
        if self._verifier is not None:
            authorize(self._policy, caller)
        if self._limiter is None:
            return []
        return self._limiter.admit(self._rate_key(caller, address))

    def give_back(self, caller: Caller, address: str) -> None:
        """Takes back an admitted call that was rejected as wrong, unless the limit of the method counts these."""
        if self._limiter is not None:
            self._limiter.give_back(self._rate_key(caller, address))

    def watching(self, caller: Caller, stop: Callable[[MeshError], None]) -> AbstractContextManager[None]:
        """Returns a context in which `stop` is called when a token that is checked here expires or ends."""
        return nullcontext() if self._verifier is None else self._verifier.watching(caller, stop)

    def _rate_key(self, caller: Caller, address: str) -> str:
        # On public methods a token must not give a separate allowance: someone who guesses passwords may have one.
        subject = "" if self._policy.public else caller.subject
        return subject or client_key(address)

    async def _verify(self, authorization: str, verifier: Verifier) -> Caller:
        """Returns the bearer of a token. Other schemes are passed to public methods, which may use them: a token
        endpoint accepts Basic (RFC 6749, section 2.3.1).
        """
        token = bearer_token(authorization)
        if token is not None:
            return await authenticate(token, verifier, self._policy)
        if authorization and not self._policy.public:
            raise Unauthenticated("This call needs a Bearer access token.", reason="TOKEN_MISSING")
        return ANONYMOUS
