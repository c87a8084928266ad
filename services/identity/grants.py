"""The grants of the token endpoint (RFC 6749) and the revocation of tokens (RFC 7009)."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from meshwright.identity.v1 import identity_pb as pb

from mesh import audit
from mesh.database import Connection, Database
from mesh.errors import FieldViolation, InvalidArgument, Unauthenticated
from mesh.identity import WORKLOAD_PREFIX
from mesh.rpc import USER_AGENT, Call
from services.identity import code_storage, storage
from services.identity.authentication import Authentication
from services.identity.browser_clients import BrowserClients
from services.identity.cipher import Cipher
from services.identity.client_authentication import Clients
from services.identity.domain import USER_PREFIX, User, narrow
from services.identity.ended_tokens import EndedTokenList
from services.identity.sign_in_limit import SignInLimit
from services.identity.signed_ids import SignedIds
from services.identity.storage import NewFamily, RefreshTokenRotation
from services.identity.tokens import AccessToken, AccessTokens, RefreshToken

# The client id of users' sign-ins: a public client (RFC 6749, section 2.1), which has no secret.
PUBLIC_CLIENT = "public"

USER_AGENT_LENGTH_MAX = 256

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
PASSWORD = "password"


@dataclass(frozen=True, slots=True)
class IssuedTokens:
    """The tokens of a grant. A workload gets no refresh token, because it can always request another access token."""

    access: AccessToken
    refresh: RefreshToken | None = None


class Grants:
    """The grants, which exchange credentials for tokens."""

    def __init__(
        self,
        database: Database,
        authentication: Authentication,
        limit: SignInLimit,
        access_tokens: AccessTokens,
        clients: Clients,
        browser_clients: BrowserClients,
        cipher: Cipher,
        ended: EndedTokenList,
        codes: SignedIds,
        refresh_lifetime: timedelta,
    ) -> None:
        self._database = database
        self._authentication = authentication
        self._limit = limit
        self._access_tokens = access_tokens
        self._clients = clients
        self._browser_clients = browser_clients
        self._cipher = cipher
        self._ended = ended
        self._codes = codes
        self._refresh_lifetime = refresh_lifetime

    async def password(self, request: pb.IssueTokenRequest, call: Call) -> IssuedTokens:
        """Signs a user in (section 4.3). Neither the error nor the time it takes reveals whether the account exists.

        Raises ResourceExhausted after too many failures, even if the password is correct.
        """
        _require(username=request.username, password=request.password)
        authenticated = await self._authentication.check(request.username, request.password, call)
        if authenticated is None:
            raise _wrong_password()
        user = authenticated.user
        account = {"account": user.name, "account_hash": self._limit.account_hash(request.username)}
        try:
            scopes = narrow(user.role.scopes, request.scope)
        except InvalidArgument as error:
            audit.record("sign_in", call, outcome="failed", reason=error.reason, **account)
            raise
        token = RefreshToken.new(self._cipher)
        new = NewFamily(token.family, user.uid, PUBLIC_CLIENT, user_agent_of(call), scopes, token.hash)
        async with self._database.transaction() as tx:
            kept = await storage.lock_password(tx, user.uid, authenticated.password_hash)
            replaced = await self._begin_family(tx, new) if kept else 0
        if not kept:
            raise _wrong_password()  # deleted or changed a moment ago
        await self._ended.wait_until_read(replaced)
        audit.record("sign_in", call, outcome="succeeded", session=str(token.family), **account)
        return IssuedTokens(self._access_token(user, PUBLIC_CLIENT, scopes, token), token)

    async def authorization_code(self, request: pb.IssueTokenRequest, call: Call) -> IssuedTokens:
        """Exchanges an authorization code (section 4.1.3; RFC 7636, section 4.6).

        Each works once, even if the exchange fails. If one is used again, it may have been stolen, so the sign-in that
        it gave ends. One that an unknown application presents is not looked up: a replica that has it in its setting
        may still exchange it.
        """
        _require(
            code=request.code,
            client_id=request.client_id,
            redirect_uri=request.redirect_uri,
            code_verifier=request.code_verifier,
        )
        id_ = self._codes.read(request.code)
        if id_ is None or not self._browser_clients.has(request.client_id):
            raise self._rejected_code(call)
        token = RefreshToken.new(self._cipher, id_)
        async with self._database.transaction() as tx:
            redeemed = await code_storage.redeem_code(tx, id_)
            is_right = redeemed is not None and redeemed.matches(
                request.client_id, request.redirect_uri, request.code_verifier
            )
            if redeemed is not None and is_right:
                scopes = redeemed.scopes & redeemed.user.role.scopes
                new = NewFamily(id_, redeemed.user.uid, redeemed.client_id, user_agent_of(call), scopes, token.hash)
                replaced = await self._begin_family(tx, new)
        if redeemed is None:
            if (ended := await self._end_family(token)) is not None:
                audit.record("code_reused", call, account=f"{USER_PREFIX}{ended[0]}", session=str(id_))
            raise self._rejected_code(call)
        if not is_right:
            raise self._rejected_code(call)
        await self._ended.wait_until_read(replaced)
        user = redeemed.user
        audit.record("sign_in", call, account=user.name, outcome="succeeded", session=str(id_), by="code")
        return IssuedTokens(self._access_token(user, redeemed.client_id, scopes, token), token)

    def _rejected_code(self, call: Call) -> InvalidArgument:
        audit.record("sign_in", call, outcome="failed", reason="INVALID_GRANT", by="code")
        return _invalid_grant("The code is unknown, expired or used before, or was issued for another request.")

    async def refresh(self, request: pb.IssueTokenRequest, call: Call) -> IssuedTokens:
        """Exchanges a refresh token for the next one (section 6).

        Each works once. If one is used again, either it was stolen or the response was lost. It is impossible to find
        out which, so the whole family ends, with its access tokens, and the user must sign in again (RFC 9700, section
        4.14.2). There is no grace period. A token that was never issued ends nothing. One that another application
        uses ends the sign-in as well. While its own is not in the setting, it is only refused: the replicas of a
        rolling change differ.
        """
        _require(refresh_token=request.refresh_token)
        old = RefreshToken.parse(request.refresh_token)
        if old is None:
            raise self._rejected_refresh(call)
        new = RefreshToken.new(self._cipher, old.family)
        is_known = self._browser_clients.has(request.client_id)
        # A sign-in by password is of no client, whatever its client calls itself.
        client_ids = (request.client_id, PUBLIC_CLIENT) if is_known else (PUBLIC_CLIENT,)
        rotation = RefreshTokenRotation(old.family, client_ids, user_agent_of(call), old.hash, new.hash)
        async with self._database.transaction() as tx:
            rotated = await storage.rotate_family(tx, rotation, self._refresh_lifetime)
            if rotated is not None:
                user = rotated.user
                # If it raises, the old token stays valid.
                scopes = narrow(rotated.scopes & user.role.scopes, request.scope)
            else:
                is_kept = not is_known and await storage.is_newest(tx, old.family, old.hash, request.client_id)
        if rotated is None:
            if not is_kept:
                await self._end_reused(old, call)
            raise self._rejected_refresh(call)
        audit.record("refresh", call, account=user.name, outcome="succeeded", session=str(new.family))
        return IssuedTokens(self._access_token(user, rotated.client_id, scopes, new), new)

    def _rejected_refresh(self, call: Call) -> InvalidArgument:
        audit.record("refresh", call, outcome="failed", reason="INVALID_GRANT")
        return _invalid_grant("The refresh token is unknown, expired, revoked or used before. Sign in again.")

    async def _end_reused(self, token: RefreshToken, call: Call) -> None:
        """Ends the sign-in of a token that is not the newest, has expired, or is another application's."""
        if (ended := await self._end_family(token)) is not None:
            owner, newest_hash = ended
            event = "refresh_token_expired" if newest_hash == token.hash else "refresh_token_reused"
            audit.record(event, call, account=f"{USER_PREFIX}{owner}", session=str(token.family))

    async def client_credentials(self, client_id: str, client_secret: str, scope: str, call: Call) -> IssuedTokens:
        """Issues a token to a workload (section 4.4). It has no scopes, because the contracts' `callers` decide which
        methods it may call.

        A correct secret is always accepted; wrong ones are limited by client address.
        """
        try:
            workload = self._clients.authenticate(call.metadata.get("authorization", ""), client_id, client_secret)
        except Unauthenticated as error:
            audit.record("client_sign_in", call, outcome="failed", reason=error.reason)
            await self._limit.fail_client(call)
            raise
        scopes = narrow(frozenset(), scope)
        name = f"{WORKLOAD_PREFIX}{workload}"
        audit.record("client_sign_in", call, account=name, outcome="succeeded")
        return IssuedTokens(self._access_tokens.issue(name, workload, scopes))

    async def revoke(self, text: str, call: Call) -> None:
        """Ends an access token, or the sign-in of a refresh token, even of a used one. Returns when all verifiers know.
        Ignores other texts.
        """
        refresh_token = RefreshToken.parse(text)
        if refresh_token is not None:
            if (ended := await self._end_family(refresh_token)) is not None:
                audit.record(
                    "revoke",
                    call,
                    account=f"{USER_PREFIX}{ended[0]}",
                    what="sign-in",
                    session=str(refresh_token.family),
                )
        elif (issued := await self._access_tokens.read(text)) is not None:
            async with self._database.transaction() as tx:
                sequence = await self._ended.end(tx, "jti", issued.token_id, issued.expire_time)
            await self._ended.wait_until_read(sequence)
            audit.record("revoke", call, account=issued.subject, what="access token", token_id=issued.token_id)

    async def _begin_family(self, tx: Connection, new: NewFamily) -> int:
        """Begins a sign-in as the last step of the transaction. The access tokens of those that it replaces end.
        Returns the sequence to pass to EndedTokenList.wait_until_read().
        """
        replaced = await storage.insert_family(tx, new, self._refresh_lifetime, self._ended.lifetime)
        return await self._ended.end_each(tx, "sid", map(str, replaced))

    async def _end_family(self, token: RefreshToken) -> tuple[UUID, bytes] | None:
        """Ends a sign-in with its access tokens, by any refresh token that it has had. Returns its user and the hash of
        its newest token, None if there is no such sign-in.
        """
        if not token.is_genuine(self._cipher):
            return None
        sequence = 0
        async with self._database.transaction() as tx:
            ended = await storage.delete_family(tx, token.family)
            if ended is not None:
                sequence = await self._ended.end(tx, "sid", str(token.family))
        if ended is not None:
            await self._ended.wait_until_read(sequence)
        return ended

    def _access_token(self, user: User, client_id: str, scopes: Set[str], token: RefreshToken) -> AccessToken:
        return self._access_tokens.issue(user.name, client_id, scopes, token.family)


def user_agent_of(call: Call) -> str:
    """Returns the user agent of a call, empty if the application sends none."""
    return call.metadata.get(USER_AGENT, "")[:USER_AGENT_LENGTH_MAX]


def unsupported_grant_type(supported: Sequence[str]) -> InvalidArgument:
    """Returns the error of an unsupported grant type."""
    description = f"must be one of {', '.join(supported)}" if len(supported) > 1 else f"must be {supported[0]}"
    violation = FieldViolation("grant_type", description, "UNSUPPORTED_GRANT_TYPE")
    return InvalidArgument(f"grant_type {description}.", reason="UNSUPPORTED_GRANT_TYPE", violations=[violation])


def _require(**parameters: str) -> None:
    """Raises InvalidArgument (INVALID_REQUEST) with a violation for every missing parameter."""
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


def _wrong_password() -> InvalidArgument:
    return _invalid_grant("The e-mail address or the password is wrong.")
