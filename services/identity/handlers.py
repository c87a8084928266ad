"""The methods of IdentityService."""

from dataclasses import replace
from functools import partial
from uuid import UUID, uuid4

from joserfc.jwk import ECKey
from meshwright.identity.v1 import account_pb
from meshwright.identity.v1 import identity_pb as pb
from meshwright.identity.v1.events_pb import RegistrationRepeated, UserDeleted, UserRegistered
from meshwright.identity.v1.identity_grpc import IdentityServiceBase
from protobuf.wkt import ListValue, Timestamp

from mesh import audit
from mesh.database import Connection, Database
from mesh.events import publish
from mesh.field_mask import apply_update
from mesh.idempotency import RequestKey, forget, forget_caller, forget_mentions, once
from mesh.identity import ALGORITHM, ANONYMOUS, Caller
from mesh.rpc import Call
from services.identity import one_time_token_storage, storage
from services.identity.accounts import SOURCE, Accounts
from services.identity.cipher import Cipher
from services.identity.code_challenge import METHOD
from services.identity.domain import (
    ALL_SCOPES,
    Role,
    Session,
    User,
    account_deleted,
    checked_display_name,
    own_uid,
    uid_of,
    unknown_user,
)
from services.identity.ended_tokens import EndedTokenList
from services.identity.grants import GRANT_TYPES, PASSWORD, Grants, IssuedTokens, unsupported_grant_type
from services.identity.keys import SigningKeys
from services.identity.one_time_tokens import Purpose
from services.identity.passwords import Passwords
from services.identity.sessions import Sessions, is_current
from services.identity.sign_in_limit import SignInLimit
from services.identity.storage import NewUser

UPDATABLE = frozenset({"display_name"})

REGISTRATION = f"/{IdentityServiceBase.DESC.type_name}/CreateUser"

_ROLES = {Role.CUSTOMER: pb.Role.CUSTOMER, Role.STAFF: pb.Role.STAFF}


class IdentityHandlers(IdentityServiceBase):
    """The handlers of IdentityService."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        cipher: Cipher,
        limit: SignInLimit,
        grants: Grants,
        accounts: Accounts,
        sessions: Sessions,
        keys: SigningKeys,
        ended: EndedTokenList,
        issuer: str,
        *,
        password_grant: bool,
    ) -> None:
        """Keeps the parts that the methods use. `issuer` is the public URL with which the issuer's other URLs begin."""
        self._database = database
        self._passwords = passwords
        self._cipher = cipher
        self._limit = limit
        self._grants = grants
        self._accounts = accounts
        self._sessions = sessions
        self._keys = keys
        self._ended = ended
        self._issuer = issuer
        self._grant_types: tuple[str, ...] = (*GRANT_TYPES, PASSWORD) if password_grant else GRANT_TYPES

    async def create_user(self, request: pb.CreateUserRequest, call: Call) -> pb.User:
        """Registers a customer, once for each request_id. The response is the same if the address has an account.

        Callers are anonymous, so all registrations share one space of request ids, which are UUIDs.
        """
        display_name = checked_display_name(request.display_name, "display_name")
        password_hash = await self._passwords.hash(request.password)
        new = NewUser(uuid4(), request.email, display_name, Role.CUSTOMER, password_hash, request.request_id)
        async with self._database.transaction() as tx:
            effect = partial(self._register, tx, new, call)
            return await once(tx, replace(call, caller=ANONYMOUS), self._without_password(request), effect)

    async def _register(self, tx: Connection, new: NewUser, call: Call) -> pb.User:
        """Adds the user. If the address has an account, notifies its owner, and returns the user that would have been
        added, so that the caller can't find out which of the two happened.
        """
        user = await storage.insert_user(tx, new)
        if user is None:
            found = await storage.find_by_email(tx, new.email)
            now = Timestamp.now()
            if found is not None:  # else it was deleted a moment ago
                repeated = RegistrationRepeated(user=found[0].name, attempt_time=now)
                await publish(tx, repeated, source=SOURCE, aggregate=found[0].name)
                audit.record("registration", call, account=found[0].name, outcome="refused", reason="EMAIL_TAKEN")
            return _user_message(new.as_user(now.to_datetime()))
        await self._limit.remember(tx, user.uid, call)
        token_id = await one_time_token_storage.insert_token(tx, user.uid, Purpose.CONFIRM_EMAIL, user.email)
        registered = UserRegistered(
            user=user.name, register_time=Timestamp.from_datetime(user.create_time), confirmation=str(token_id)
        )
        await publish(tx, registered, source=SOURCE, aggregate=user.name)
        audit.record("registration", call, account=user.name, outcome="succeeded")
        return _user_message(user)

    def _without_password(self, request: pb.CreateUserRequest) -> pb.CreateUserRequest:
        """Returns the request with a keyed hash in place of the password. The hash of the request is stored, and
        guessing a password by a plain hash would be much faster than by argon2id.
        """
        fingerprint = self._cipher.fingerprint(request.password)
        return pb.CreateUserRequest(
            email=request.email,
            password=fingerprint,
            display_name=request.display_name,
            request_id=request.request_id,
        )

    async def get_user(self, request: pb.GetUserRequest, call: Call) -> pb.User:
        """Returns the caller's own user."""
        uid = own_uid(request.name, call.caller.subject)
        async with self._database.autocommit() as connection:
            user = await storage.find_user(connection, uid)
        if user is None:
            raise account_deleted()
        return _user_message(user)

    async def update_user(self, request: pb.UpdateUserRequest, call: Call) -> pb.User:
        """Updates the fields that the mask names, if the etag is the current one."""
        patch = request.user or pb.User()
        uid = own_uid(patch.name, call.caller.subject)
        async with self._database.transaction() as tx:
            user = await storage.lock_user(tx, uid)
            user.check_etag(patch.etag)
            wanted = apply_update(_user_message(user), patch, request.update_mask, updatable=UPDATABLE)
            display_name = checked_display_name(wanted.display_name, "user.display_name")
            return _user_message(await storage.rename_user(tx, uid, display_name))

    async def delete_user(self, request: pb.DeleteUserRequest, call: Call) -> pb.DeleteUserResponse:
        """Deletes the caller's own user, and the stored answers to them, which hold personal data too.
        Returns when all verifiers know that the user's tokens have ended.
        """
        uid = own_uid(request.name, call.caller.subject)
        async with self._database.transaction() as tx:
            user = await storage.lock_user(tx, uid)
            user.check_etag(request.etag)
            request_id = await storage.delete_user(tx, uid)
            await forget(tx, RequestKey.of(ANONYMOUS.subject, REGISTRATION, request_id))
            await forget_mentions(tx, ANONYMOUS.subject, REGISTRATION, user.email)  # by others, who were answered alike
            await forget_caller(tx, user.name)
            event = UserDeleted(user=user.name, delete_time=Timestamp.now())
            await publish(tx, event, source=SOURCE, aggregate=user.name)
            sequence = await self._ended.end(tx, "sub", user.name)
        await self._ended.wait_until_read(sequence)
        audit.record("user_deleted", call)
        return pb.DeleteUserResponse()

    async def resolve_user(self, request: pb.ResolveUserRequest, call: Call) -> pb.ResolveUserResponse:
        """Returns the address and the name of any user to the workloads that the contract names."""
        async with self._database.autocommit() as connection:
            user = await storage.find_user(connection, uid_of(request.user))
        if user is None:
            raise unknown_user()
        return pb.ResolveUserResponse(
            email=user.email, display_name=user.display_name, email_confirmed=user.email_confirmed
        )

    async def fetch_one_time_token(
        self, request: account_pb.FetchOneTimeTokenRequest, call: Call
    ) -> account_pb.FetchOneTimeTokenResponse:
        """Returns the link for a mail to the workloads that the contract names."""
        token, text = await self._accounts.find_token(UUID(request.id))
        return account_pb.FetchOneTimeTokenResponse(
            email=token.email,
            link=f"{self._issuer.rstrip('/')}{token.purpose.page}?token={text}",
            expire_time=Timestamp.from_datetime(token.expire_time),
        )

    async def request_email_confirmation(
        self, request: account_pb.RequestEmailConfirmationRequest, call: Call
    ) -> account_pb.RequestEmailConfirmationResponse:
        """Has a link mailed to the caller's own address."""
        await self._accounts.request_confirmation(request.name, call)
        return account_pb.RequestEmailConfirmationResponse()

    async def confirm_email(
        self, request: account_pb.ConfirmEmailRequest, call: Call
    ) -> account_pb.ConfirmEmailResponse:
        """Confirms an address by a one-time token."""
        return await self._accounts.confirm_email(request, call)

    async def request_password_reset(
        self, request: account_pb.RequestPasswordResetRequest, call: Call
    ) -> account_pb.RequestPasswordResetResponse:
        """Has a link mailed to the address of an account, if there is one."""
        await self._accounts.request_reset(request.email, call)
        return account_pb.RequestPasswordResetResponse()

    async def reset_password(
        self, request: account_pb.ResetPasswordRequest, call: Call
    ) -> account_pb.ResetPasswordResponse:
        """Sets a new password by a one-time token."""
        return await self._accounts.reset_password(request, call)

    async def change_password(
        self, request: account_pb.ChangePasswordRequest, call: Call
    ) -> account_pb.ChangePasswordResponse:
        """Changes the caller's own password."""
        return await self._accounts.change_password(request, call)

    async def change_email(self, request: account_pb.ChangeEmailRequest, call: Call) -> account_pb.ChangeEmailResponse:
        """Starts the change of the caller's own address."""
        await self._accounts.change_email(request, call)
        return account_pb.ChangeEmailResponse()

    async def list_sessions(
        self, request: account_pb.ListSessionsRequest, call: Call
    ) -> account_pb.ListSessionsResponse:
        """Lists the caller's own sessions."""
        sessions, next_page_token = await self._sessions.list(
            request.parent, request.page_size, request.page_token, call
        )
        return account_pb.ListSessionsResponse(
            sessions=[_session_message(session, call.caller) for session in sessions], next_page_token=next_page_token
        )

    async def delete_session(
        self, request: account_pb.DeleteSessionRequest, call: Call
    ) -> account_pb.DeleteSessionResponse:
        """Ends one of the caller's own sessions."""
        await self._sessions.delete(request.name, call)
        return account_pb.DeleteSessionResponse()

    async def issue_token(self, request: pb.IssueTokenRequest, call: Call) -> pb.Token:
        """Handles the token endpoint: issues tokens by the requested grant."""
        match request.grant_type:
            case "authorization_code":
                issued = await self._grants.authorization_code(request, call)
            case "password" if PASSWORD in self._grant_types:
                issued = await self._grants.password(request, call)
            case "refresh_token":
                issued = await self._grants.refresh(request, call)
            case "client_credentials":
                issued = await self._grants.client_credentials(
                    request.client_id, request.client_secret, request.scope, call
                )
            case _:
                raise unsupported_grant_type(self._grant_types)
        return _token_message(issued)

    async def issue_workload_token(self, request: pb.IssueWorkloadTokenRequest, call: Call) -> pb.Token:
        """Handles the token endpoint of workloads."""
        if request.grant_type != "client_credentials":
            raise unsupported_grant_type(("client_credentials",))
        issued = await self._grants.client_credentials(request.client_id, request.client_secret, request.scope, call)
        return _token_message(issued)

    async def revoke_token(self, request: pb.RevokeTokenRequest, call: Call) -> pb.RevokeTokenResponse:
        """Ends an access token or a sign-in."""
        await self._grants.revoke(request.token, call)
        return pb.RevokeTokenResponse()

    async def list_ended_tokens(self, request: pb.ListEndedTokensRequest, call: Call) -> pb.ListEndedTokensResponse:
        """Lists the tokens that ended after the reader's last response, and acknowledges that response."""
        after = int(request.after or 0)
        if request.reader:
            await self._ended.acknowledge(UUID(request.reader), after)
        page = await self._ended.after(after, min(request.wait_s, call.remaining_s() - 1))
        return pb.ListEndedTokensResponse(
            ended=[
                pb.EndedToken(id=entry.id, expire_time=Timestamp.from_datetime(entry.expire_time))
                for entry in page.entries
            ],
            next_after=str(page.next_after),
        )

    async def get_jwks(self, request: pb.GetJwksRequest, call: Call) -> pb.Jwks:
        """Returns the public keys."""
        return pb.Jwks(keys=[_key_message(key) for key in self._keys.published])

    async def get_open_id_configuration(
        self, request: pb.GetOpenIdConfigurationRequest, call: Call
    ) -> pb.OpenIdConfiguration:
        """Returns the issuer's metadata."""
        base = self._issuer.rstrip("/")
        return pb.OpenIdConfiguration(
            issuer=self._issuer,
            token_endpoint=f"{base}/v1/oauth2/token",
            revocation_endpoint=f"{base}/v1/oauth2/revoke",
            jwks_uri=f"{base}/.well-known/jwks.json",
            grant_types_supported=list(self._grant_types),
            scopes_supported=sorted(ALL_SCOPES),
            token_endpoint_auth_methods_supported=["client_secret_basic", "client_secret_post", "none"],
            id_token_signing_alg_values_supported=[ALGORITHM],
            subject_types_supported=["public"],
            response_types_supported=ListValue.from_python(["code"]),
            authorization_endpoint=f"{base}/v1/oauth2/authorize",
            code_challenge_methods_supported=[METHOD],
            response_modes_supported=["query"],
            authorization_response_iss_parameter_supported=True,
            revocation_endpoint_auth_methods_supported=["none"],
        )


def _user_message(user: User) -> pb.User:
    return pb.User(
        name=user.name,
        uid=str(user.uid),
        email=user.email,
        display_name=user.display_name,
        role=_ROLES[user.role],
        create_time=Timestamp.from_datetime(user.create_time),
        update_time=Timestamp.from_datetime(user.update_time),
        etag=user.etag,
        email_confirmed=user.email_confirmed,
    )


def _session_message(session: Session, caller: Caller) -> account_pb.Session:
    return account_pb.Session(
        name=session.name,
        client_id=session.client_id,
        user_agent=session.user_agent,
        scopes=list(session.scopes),
        create_time=Timestamp.from_datetime(session.create_time),
        last_use_time=Timestamp.from_datetime(session.last_use_time),
        expire_time=Timestamp.from_datetime(session.expire_time),
        current=is_current(session.id, caller.ended_ids),
    )


def _token_message(issued: IssuedTokens) -> pb.Token:
    return pb.Token(
        access_token=issued.access.text,
        token_type="Bearer",
        expires_in=issued.access.expires_in_s,
        refresh_token=issued.refresh.text if issued.refresh else "",
        scope=" ".join(sorted(issued.access.scopes)),
    )


def _key_message(key: ECKey) -> pb.Jwk:
    public = {name: str(value) for name, value in key.as_dict(private=False).items()}
    return pb.Jwk(
        kty=public["kty"],
        use=public["use"],
        kid=public["kid"],
        alg=public["alg"],
        crv=public["crv"],
        x=public["x"],
        y=public["y"],
    )
