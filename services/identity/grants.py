"""The grants of the token endpoint (RFC 6749) and the revocation of what they gave (RFC 7009)."""

from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta

import structlog

from mesh.database import Database
from mesh.errors import FieldViolation, InvalidArgument
from mesh.identity import WORKLOAD_PREFIX
from services.identity import storage
from services.identity.client_authentication import Clients
from services.identity.domain import User, may_be_email, narrow
from services.identity.passwords import Passwords
from services.identity.tokens import AccessToken, AccessTokens, RefreshToken

# The client of people's own sign-ins: any program that knows the password, none that has a secret.
PUBLIC_CLIENT = "public"

GRANT_TYPES = ("password", "refresh_token", "client_credentials")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Issued:
    """What a grant gives; a workload gets no refresh token, for it can always ask again."""

    access: AccessToken
    refresh: RefreshToken | None = None


class Grants:
    """Trades proofs of identity for tokens."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        access_tokens: AccessTokens,
        clients: Clients,
        refresh_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._access_tokens = access_tokens
        self._clients = clients
        self._refresh_lifetime = refresh_lifetime

    async def password(self, username: str, password: str, scope: str) -> Issued:
        """Signs a user in (section 4.3). Neither the error nor its time tells whether the account exists."""
        _require(username=username, password=password)
        found = None
        if may_be_email(username):
            async with self._database.transaction() as tx:
                found = await storage.find_by_email(tx, username)
        user, password_hash = found or (None, None)
        if not await self._passwords.verify(password_hash, password) or user is None:
            raise _invalid_grant("The e-mail address or the password is wrong.")
        scopes = narrow(user.role.scopes, scope)
        token = RefreshToken.new()
        async with self._database.transaction() as tx:
            kept = await storage.insert_family(tx, token.family, user.uid, scopes, token.hash, self._refresh_lifetime)
        if not kept:
            raise _invalid_grant("The e-mail address or the password is wrong.")  # deleted a moment ago
        return Issued(self._access_token(user, scopes), token)

    async def refresh(self, refresh_token: str, scope: str) -> Issued:
        """Trades a refresh token for the next (section 6).

        Each works once. One that comes again was either stolen or its answer was lost: as nobody can tell which, the
        whole family ends and the user signs in again (RFC 9700, section 4.14.2). There is no time of grace.
        """
        _require(refresh_token=refresh_token)
        old = RefreshToken.parse(refresh_token)
        if old is None:
            raise _invalid_refresh_token()
        new = RefreshToken.new(old.family)
        async with self._database.transaction() as tx:
            rotated = await storage.rotate_family(tx, old.family, old.hash, new.hash, self._refresh_lifetime)
            if rotated is not None:
                user, granted = rotated
                scopes = narrow(granted & user.role.scopes, scope)  # if it raises, the old token stays good
            else:
                owner = await storage.delete_family(tx, old.family)
        if rotated is None:
            if owner is not None:
                log.warning("refresh token used again or expired, sign-in ended", user=str(owner))
            raise _invalid_refresh_token()
        return Issued(self._access_token(user, scopes), new)

    def client_credentials(self, authorization: str, client_id: str, client_secret: str, scope: str) -> Issued:
        """A workload's own token (section 4.4). It has no scopes: the contracts' `callers` say what it may call."""
        workload = self._clients.authenticate(authorization, client_id, client_secret)
        scopes = narrow(frozenset(), scope)
        return Issued(self._access_tokens.issue(f"{WORKLOAD_PREFIX}{workload}", workload, scopes))

    async def revoke(self, token: str) -> None:
        """Ends the sign-in that a refresh token is of, also by one that has been used. Other texts do nothing."""
        refresh_token = RefreshToken.parse(token)
        if refresh_token is not None:
            async with self._database.transaction() as tx:
                await storage.delete_family(tx, refresh_token.family)

    def _access_token(self, user: User, scopes: Set[str]) -> AccessToken:
        return self._access_tokens.issue(user.name, PUBLIC_CLIENT, scopes)


def unsupported_grant_type() -> InvalidArgument:
    """There is no such grant."""
    description = f"must be one of {', '.join(GRANT_TYPES)}"
    violation = FieldViolation("grant_type", description, "UNSUPPORTED_GRANT_TYPE")
    return InvalidArgument(f"grant_type {description}.", reason="UNSUPPORTED_GRANT_TYPE", violations=[violation])


def _require(**parameters: str) -> None:
    """Raises InvalidArgument (INVALID_REQUEST) that names every parameter that is missing."""
    violations = [
        FieldViolation(name, "is required with this grant_type", "PARAMETER_MISSING")
        for name, value in parameters.items()
        if not value
    ]
    if violations:
        names = " and ".join(violation.field for violation in violations)
        raise InvalidArgument(
            f"{names}: required with this grant_type.", reason="INVALID_REQUEST", violations=violations
        )


def _invalid_grant(message: str) -> InvalidArgument:
    return InvalidArgument(message, reason="INVALID_GRANT")


def _invalid_refresh_token() -> InvalidArgument:
    return _invalid_grant("The refresh token is unknown, expired, revoked or used before. Sign in again.")
