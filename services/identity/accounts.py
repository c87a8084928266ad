"""The life of an account: its address is confirmed or changed, its password reset or changed."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from meshwright.identity.v1 import account_pb as pb
from meshwright.identity.v1.events_pb import (
    EmailChangeRequested,
    EmailConfirmationRequested,
    PasswordChanged,
    PasswordResetRequested,
    RegistrationRepeated,
)
from protobuf.wkt import Timestamp

from mesh import audit
from mesh.database import Connection, Database
from mesh.errors import AlreadyExists, FailedPrecondition, FieldViolation, InvalidArgument
from mesh.events import publish
from mesh.idempotency import once, once_prepared
from mesh.identity import ANONYMOUS, Caller
from mesh.rpc import Call
from services.identity import one_time_token_storage, storage
from services.identity.authentication import Authenticated, Authentication
from services.identity.cipher import Cipher
from services.identity.domain import User, account_deleted, may_be_email, own_uid
from services.identity.ended_tokens import EndedTokenList
from services.identity.one_time_tokens import OneTimeToken, Purpose, unknown_token, unusable_token
from services.identity.passwords import Passwords
from services.identity.sessions import Sessions
from services.identity.sign_in_limit import SignInLimit, too_many_mails
from services.identity.signed_ids import SignedIds

SOURCE = "identity"
CONFIRMATION_EVERY = timedelta(days=1)  # an address that is not confirmed receives at most one mail a day
RESET_RESPONSE_S = 0.25
"""The time of each response to a request for a reset. It is longer than the work takes, and so reveals no account."""


class Accounts:
    """The changes of accounts that a mail or a password authorises."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        cipher: Cipher,
        authentication: Authentication,
        limit: SignInLimit,
        sessions: Sessions,
        tokens: SignedIds,
        ended: EndedTokenList,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._cipher = cipher
        self._authentication = authentication
        self._limit = limit
        self._sessions = sessions
        self._tokens = tokens
        self._ended = ended

    async def find_token(self, token_id: UUID) -> tuple[OneTimeToken, str]:
        """Returns a token that can be used, and its text. Raises NotFound."""
        async with self._database.autocommit() as connection:
            token = await one_time_token_storage.find_token(connection, token_id)
        if token is None:
            raise unknown_token()
        return token, self._tokens.text(token_id)

    async def request_confirmation(self, name: str, call: Call) -> None:
        """Has a link mailed to the caller's own address, at most once a day."""
        uid = own_uid(name, call.caller.subject)
        async with self._database.transaction() as tx:
            user = await storage.lock_user(tx, uid)
            if user.email_confirmed:
                raise FailedPrecondition("The address is confirmed already.", reason="EMAIL_CONFIRMED")
            age = await one_time_token_storage.time_since_last(tx, uid, Purpose.CONFIRM_EMAIL)
            if age is not None and age < CONFIRMATION_EVERY:
                raise too_many_mails(CONFIRMATION_EVERY - age)
            token_id = await one_time_token_storage.insert_token(tx, uid, Purpose.CONFIRM_EMAIL, user.email)
            event = EmailConfirmationRequested(user=user.name, confirmation=str(token_id))
            await publish(tx, event, source=SOURCE, aggregate=user.name)
        audit.record("email_confirmation_requested", call)

    async def confirm_email(self, request: pb.ConfirmEmailRequest, call: Call) -> pb.ConfirmEmailResponse:
        """Confirms the address of an account, or changes it to the confirmed one, once for each request_id."""
        token_id = await self._read(request.token, call, "email_confirmed")
        hidden = pb.ConfirmEmailRequest(token=self._cipher.fingerprint(request.token), request_id=request.request_id)
        async with self._database.transaction() as tx:
            effect = partial(self._confirm, tx, token_id, call)
            return await once(tx, replace(call, caller=ANONYMOUS), hidden, effect)

    async def _confirm(self, tx: Connection, token_id: UUID, call: Call) -> pb.ConfirmEmailResponse:
        token = await self._take(tx, token_id, Purpose.CONFIRM_EMAIL, Purpose.CHANGE_EMAIL)
        if not await storage.set_confirmed_email(tx, token.user_uid, token.email):
            raise AlreadyExists("Another account has this address.", reason="EMAIL_TAKEN")
        # Those for the former address must not outlive it, and those for this one have no use.
        await one_time_token_storage.delete_tokens(tx, token.user_uid, tuple(Purpose))
        event = "email_changed" if token.purpose is Purpose.CHANGE_EMAIL else "email_confirmed"
        audit.record(event, call, account=User.name_of(token.user_uid), outcome="succeeded")
        return pb.ConfirmEmailResponse()

    async def request_reset(self, email: str, call: Call) -> None:
        """Has a link mailed to an address that has an account. Neither the result nor the time that it takes reveals
        whether there is one.
        """
        respond_at = time.monotonic() + RESET_RESPONSE_S
        await self._limit.count_mail_request(call)
        is_limited = await self._limit.count_mail(Purpose.RESET_PASSWORD, email) > timedelta(0)
        async with self._database.transaction() as tx:
            found = await storage.find_by_email(tx, email) if may_be_email(email) else None
            user = await storage.lock_if_present(tx, found[0].uid) if found and not is_limited else None
            if user is not None:
                token_id = await one_time_token_storage.insert_token(tx, user.uid, Purpose.RESET_PASSWORD, user.email)
                event = PasswordResetRequested(user=user.name, reset=str(token_id))
                await publish(tx, event, source=SOURCE, aggregate=user.name)
        audit.record(
            "password_reset_requested",
            call,
            account=found[0].name if found else "",
            account_hash=self._limit.account_hash(email),
            outcome="refused" if is_limited else "succeeded",
        )
        await asyncio.sleep(max(0.0, respond_at - time.monotonic()))

    async def reset_password(self, request: pb.ResetPasswordRequest, call: Call) -> pb.ResetPasswordResponse:
        """Sets a new password by a token from a mail, once for each request_id, and ends all sessions. Whoever has read
        the mail can sign in at once, however often the former password was missed. Returns when all verifiers know.
        """
        token_id = await self._read(request.token, call, "password_reset")
        hidden = pb.ResetPasswordRequest(
            token=self._cipher.fingerprint(request.token),
            new_password=self._cipher.fingerprint(request.new_password),
            request_id=request.request_id,
        )
        password_hash = await self._passwords.hash(request.new_password)
        ended = EndedSequence()
        async with self._database.transaction() as tx:
            effect = partial(self._reset, tx, token_id, password_hash, call, ended)
            response = await once(tx, replace(call, caller=ANONYMOUS), hidden, effect)
        await self._ended.wait_until_read(ended.sequence)
        return response

    async def _reset(
        self, tx: Connection, token_id: UUID, password_hash: str, call: Call, ended: "EndedSequence"
    ) -> pb.ResetPasswordResponse:
        mailed = await one_time_token_storage.find_token(tx, token_id)
        if mailed is not None:  # before the user is locked: a sign-in too counts first
            await self._limit.lift(tx, mailed.email, call)
        token = await self._take(tx, token_id, Purpose.RESET_PASSWORD)
        await self._limit.remember(tx, token.user_uid, call)
        user = User.name_of(token.user_uid)
        await storage.set_confirmed_email(tx, token.user_uid, token.email)  # it is the present one: the mail was read
        ended.sequence = await self._set_password(tx, token.user_uid, password_hash)
        audit.record("password_reset", call, account=user, outcome="succeeded")
        return pb.ResetPasswordResponse()

    async def change_password(self, request: pb.ChangePasswordRequest, call: Call) -> pb.ChangePasswordResponse:
        """Changes the caller's own password, once for each request_id, and ends the other sessions. Returns when all
        verifiers know.
        """
        uid = own_uid(request.name, call.caller.subject)
        hidden = pb.ChangePasswordRequest(
            name=request.name,
            old_password=self._cipher.fingerprint(request.old_password),
            new_password=self._cipher.fingerprint(request.new_password),
            request_id=request.request_id,
        )
        ended = EndedSequence()

        async def prepare() -> tuple[Authenticated, str]:
            proved = await self._prove(uid, "old_password", request.old_password, call, "password_changed")
            return proved, await self._passwords.hash(request.new_password)

        async def effect(tx: Connection, prepared: tuple[Authenticated, str]) -> pb.ChangePasswordResponse:
            proved, password_hash = prepared
            if not await storage.lock_password(tx, uid, proved.password_hash):
                raise wrong_password("old_password")  # changed a moment ago
            ended.sequence = await self._set_password(tx, uid, password_hash, but=call.caller)
            audit.record("password_changed", call, outcome="succeeded")
            return pb.ChangePasswordResponse()

        response = await once_prepared(self._database, call, hidden, prepare, effect)
        await self._ended.wait_until_read(ended.sequence)
        return response

    async def change_email(self, request: pb.ChangeEmailRequest, call: Call) -> None:
        """Has a link mailed to the new address of the caller's own account. The response does not reveal whether that
        has an account.
        """
        uid = own_uid(request.name, call.caller.subject)
        proved = await self._prove(uid, "password", request.password, call, "email_change_requested")
        user = proved.user
        if request.email == user.email:
            violation = FieldViolation("email", "is the present address", "EMAIL_UNCHANGED")
            raise InvalidArgument("email: is the present address", reason="INVALID_FIELD", violations=[violation])
        if (wait := await self._limit.count_mail(Purpose.CHANGE_EMAIL, user.email)) > timedelta(0):
            raise too_many_mails(wait)
        async with self._database.transaction() as tx:
            if not await storage.lock_password(tx, uid, proved.password_hash):
                raise wrong_password("password")  # changed a moment ago
            found = await storage.find_by_email(tx, request.email)
            if found is not None and found[0].uid != uid:
                owner = found[0].name
                repeated = RegistrationRepeated(user=owner, attempt_time=Timestamp.now())
                await publish(tx, repeated, source=SOURCE, aggregate=owner)
            else:
                token_id = await one_time_token_storage.insert_token(tx, uid, Purpose.CHANGE_EMAIL, request.email)
                event = EmailChangeRequested(user=user.name, confirmation=str(token_id))
                await publish(tx, event, source=SOURCE, aggregate=user.name)
        taken = found is not None and found[0].uid != uid
        outcome = {"outcome": "refused", "reason": "EMAIL_TAKEN"} if taken else {"outcome": "succeeded"}
        audit.record("email_change_requested", call, **outcome)

    async def _read(self, token: str, call: Call, event: str) -> UUID:
        """Returns the identifier in a token. Raises InvalidArgument, and ResourceExhausted after too many."""
        token_id = self._tokens.read(token)
        if token_id is None:
            audit.record(event, call, outcome="failed", reason="ONE_TIME_TOKEN_INVALID")
            await self._limit.fail_token(call)
            raise unusable_token()
        return token_id

    async def _take(self, tx: Connection, token_id: UUID, *purposes: Purpose) -> OneTimeToken:
        """Locks the user of a token, then uses the token up. Raises InvalidArgument."""
        token = await one_time_token_storage.find_token(tx, token_id)
        user = await storage.lock_if_present(tx, token.user_uid) if token is not None else None
        redeemed = await one_time_token_storage.redeem_token(tx, token_id, purposes) if user is not None else None
        if redeemed is None:
            raise unusable_token()
        return redeemed

    async def _prove(self, uid: UUID, field: str, password: str, call: Call, event: str) -> Authenticated:
        """Checks the password of the caller. Raises InvalidArgument, and ResourceExhausted after too many failures."""
        async with self._database.autocommit() as connection:
            user = await storage.find_user(connection, uid)
        if user is None:
            raise account_deleted()
        proved = await self._authentication.check(user.email, password, call, event)
        if proved is None or proved.user.uid != uid:
            raise wrong_password(field)
        return proved

    async def _set_password(self, tx: Connection, uid: UUID, password_hash: str, *, but: Caller | None = None) -> int:
        """Sets the password of a locked user, as the last step of a transaction, and ends what the former one has
        begun: sessions and mailed links. The one that confirms the present address stays, because that address gets
        no other for a day. Returns the sequence for EndedTokenList.wait_until_read().
        """
        await storage.set_password(tx, uid, password_hash)
        await one_time_token_storage.delete_tokens(tx, uid, (Purpose.CHANGE_EMAIL, Purpose.RESET_PASSWORD))
        name = User.name_of(uid)
        await publish(tx, PasswordChanged(user=name, change_time=Timestamp.now()), source=SOURCE, aggregate=name)
        return await self._sessions.end_all(tx, uid, but=but)


class EndedSequence:
    """The sequence of the tokens that a transaction has ended, 0 if it has ended none."""

    sequence = 0


def wrong_password(field: str) -> InvalidArgument:
    """Returns the error of a password that is not the present one."""
    violation = FieldViolation(field, "is not the password of the account", "PASSWORD_WRONG")
    return InvalidArgument(
        f"{field}: is not the password of the account", reason="PASSWORD_WRONG", violations=[violation]
    )
