"""Who may call a method, and how often: the token, the contract's scopes, the contract's rate limit."""

import re
from dataclasses import dataclass

from edge.errors import Headers
from edge.rate_limit import RateLimiter
from edge.request import Request
from mesh.errors import Unauthenticated
from mesh.identity import ANONYMOUS, Caller, Verifier, authorize, bearer_token
from mesh.policy import Policy

_PRINTABLE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call that may go on. `authorization` is what goes to the service, empty if nothing does."""

    caller: Caller
    authorization: str
    headers: Headers


class Access:
    """The door of one method."""

    def __init__(self, policy: Policy, verifier: Verifier | None) -> None:
        """Without a verifier tokens are neither needed nor checked, but passed on: the service judges them."""
        self._policy = policy
        self._verifier = verifier
        self._limiter = RateLimiter(policy.rate_limit) if policy.rate_limit is not None else None

    async def admit(self, request: Request) -> Admitted:
        """Raises Unauthenticated, PermissionDenied with the missing scope, ResourceExhausted, or Unavailable while
        tokens can't be verified.
        """
        authorization = request.headers.get(b"authorization", b"").decode("latin-1")
        if not _PRINTABLE.fullmatch(authorization):
            raise Unauthenticated("The Authorization header holds more than printable ASCII.", reason="TOKEN_INVALID")
        caller = ANONYMOUS
        if self._verifier is not None:
            caller = await self._verify(authorization, self._verifier)
            authorize(self._policy, caller)
        headers = self._limiter.admit(caller.subject or request.client) if self._limiter is not None else []
        return Admitted(caller, authorization, headers)

    async def _verify(self, authorization: str, verifier: Verifier) -> Caller:
        """The bearer of the token. Other schemes pass to public methods, which may want them: a token
        endpoint takes Basic (RFC 6749, section 2.3.1).
        """
        token = bearer_token(authorization)
        if token is not None:
            return await verifier.verify(token)
        if authorization and not self._policy.public:
            raise Unauthenticated("This call needs an access token, as a Bearer.", reason="TOKEN_MISSING")
        return ANONYMOUS
