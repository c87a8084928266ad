"""The authorization endpoint (RFC 6749, section 4.1): a request of an application, and the redirect that answers it.

docs/decisions/0043-sign-in-page.md describes the design.
"""

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlencode
from uuid import uuid4

from mesh import audit
from mesh.database import Database
from mesh.errors import InvalidArgument
from mesh.rpc import Call
from services.identity import code_storage, storage
from services.identity.authentication import Authentication
from services.identity.browser_clients import BrowserClients
from services.identity.code_challenge import METHOD, is_challenge
from services.identity.code_storage import NewCode
from services.identity.domain import ALL_SCOPES, narrow
from services.identity.sign_in_limit import SignInLimit
from services.identity.signed_ids import SignedIds


class AuthorizationRequest(Protocol):
    """The parameters of an application's request."""

    client_id: str
    redirect_uri: str
    response_type: str
    scope: str
    state: str
    code_challenge: str
    code_challenge_method: str


class UnknownApplicationError(Exception):
    """A request that must not be answered by a redirect, because nobody vouches for the URI (section 4.1.2.1)."""


class RejectedRequestError(Exception):
    """A request that is answered by a redirect with an error; `location` is its URI."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


class Authorization:
    """The issuer of authorization codes."""

    def __init__(
        self,
        database: Database,
        authentication: Authentication,
        limit: SignInLimit,
        clients: BrowserClients,
        codes: SignedIds,
        issuer: str,
    ) -> None:
        self._database = database
        self._authentication = authentication
        self._limit = limit
        self._clients = clients
        self._codes = codes
        self._issuer = issuer

    def check(self, request: AuthorizationRequest) -> None:
        """Checks a request. Raises UnknownApplicationError or RejectedRequestError."""
        if not self._clients.allows(request.client_id, request.redirect_uri):
            raise UnknownApplicationError
        if request.response_type != "code":
            error = "unsupported_response_type" if request.response_type else "invalid_request"
            raise self._rejected(request, error, "response_type must be code")
        # RFC 9700, section 2.1.1. `plain`, the default of RFC 7636, protects nobody who sees the request.
        if request.code_challenge_method != METHOD or not is_challenge(request.code_challenge):
            raise self._rejected(request, "invalid_request", f"code_challenge is required, by {METHOD}")
        if frozenset(request.scope.split(" ")) - {""} - ALL_SCOPES:
            raise self._rejected(request, "invalid_scope", "a scope is unknown")

    async def sign_in(self, request: AuthorizationRequest, username: str, password: str, call: Call) -> str | None:
        """Signs a user in for a request that was checked. Returns the URI of the redirect, None if the password is
        wrong.

        Raises RejectedRequestError if the user may not have a scope, ResourceExhausted after too many failures.
        """
        authenticated = await self._authentication.check(username, password, call, "authorization")
        if authenticated is None:
            return None
        user = authenticated.user
        account = {"account": user.name, "account_hash": self._limit.account_hash(username)}
        try:
            scopes = narrow(user.role.scopes, request.scope)
        except InvalidArgument as error:
            audit.record("authorization", call, outcome="failed", reason=error.reason, **account)
            raise self._rejected(request, "invalid_scope", "a scope is not granted to this user") from None
        new = NewCode(uuid4(), user.uid, request.client_id, request.redirect_uri, scopes, request.code_challenge)
        async with self._database.transaction() as tx:
            kept = await storage.lock_password(tx, user.uid, authenticated.password_hash)
            if kept:
                await code_storage.insert_code(tx, new)
        if not kept:
            return None  # deleted or changed a moment ago
        audit.record(
            "authorization", call, outcome="succeeded", session=str(new.id), application=request.client_id, **account
        )
        return self._location(request, {"code": self._codes.text(new.id)})

    def _rejected(self, request: AuthorizationRequest, error: str, description: str) -> RejectedRequestError:
        return RejectedRequestError(self._location(request, {"error": error, "error_description": description}))

    def _location(self, request: AuthorizationRequest, parameters: Mapping[str, str]) -> str:
        """Returns the redirect URI with these parameters, the state, and the issuer (RFC 9207)."""
        state = {"state": request.state} if request.state else {}
        separator = "&" if "?" in request.redirect_uri else "?"
        return f"{request.redirect_uri}{separator}{urlencode({**parameters, **state, 'iss': self._issuer})}"
