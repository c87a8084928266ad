"""Who may call a method, and how often: the token, the contract's scopes, the contract's rate limit."""

import re

from edge.call.rate_limit import RateLimiter
from edge.http.client_key import client_key
from edge.http.headers import Headers
from mesh.contract.policy import Policy
from mesh.errors import Unauthenticated
from mesh.identity import ANONYMOUS, Caller, Verifier, authorize, bearer_of, bearer_token

_PRINTABLE = re.compile(r"[\x20-\x7e]*")


class Access:
    """The door of one method."""

    def __init__(self, policy: Policy, verifier: Verifier | None) -> None:
        """Without a verifier tokens are neither needed nor checked, but passed on: the service judges them."""
        self._policy = policy
        self._verifier = verifier
        self._limiter = RateLimiter(policy.rate_limit) if policy.rate_limit is not None else None

    async def identify(self, authorization: str) -> Caller:
        """The caller, by the Authorization header. Raises Unauthenticated, or Unavailable while tokens can't be
        verified.
        """
        if not _PRINTABLE.fullmatch(authorization):
            raise Unauthenticated("The Authorization header holds more than printable ASCII.", reason="TOKEN_INVALID")
        return ANONYMOUS if self._verifier is None else await self._verify(authorization, self._verifier)

    def admit(self, caller: Caller, address: str) -> Headers:
        """The headers of the reply to a caller who may call now, from this address. Raises PermissionDenied with the
        missing scope, Unauthenticated if the method wants somebody, ResourceExhausted.
        """
        if self._verifier is not None:
            authorize(self._policy, caller)
        if self._limiter is None:
            return []
        # On public methods a token must not buy a fresh allowance: whoever guesses passwords may have one.
        subject = "" if self._policy.public else caller.subject
        return self._limiter.admit(subject or client_key(address))

    async def _verify(self, authorization: str, verifier: Verifier) -> Caller:
        """The bearer of the token. Other schemes pass to public methods, which may want them: a token
        endpoint takes Basic (RFC 6749, section 2.3.1).
        """
        token = bearer_token(authorization)
        if token is not None:
            return await bearer_of(token, verifier, self._policy)
        if authorization and not self._policy.public:
            raise Unauthenticated("This call needs an access token, as a Bearer.", reason="TOKEN_MISSING")
        return ANONYMOUS
