"""The life of an account over a real channel: confirmation, reset, and changes of password and address."""

import asyncio

import pytest
from meshwright.identity.v1.account_pb import (
    ChangeEmailRequest,
    ChangePasswordRequest,
    ConfirmEmailRequest,
    DeleteSessionRequest,
    FetchOneTimeTokenRequest,
    ListSessionsRequest,
    RequestEmailConfirmationRequest,
    RequestPasswordResetRequest,
    ResetPasswordRequest,
)
from meshwright.identity.v1.identity_pb import GetUserRequest, IssueTokenRequest

from mesh.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
)
from services.identity.sign_in_limit import MAIL_LIMIT, TOKEN_LIMIT
from tests.services.identity.conftest import ISSUER, PASSWORD, Identity

ME = GetUserRequest(name="users/me")
NEW = "difference engine"
FORGED = "A" * 43


async def mailed_token(identity: Identity, purpose: str) -> str:
    """Returns the newest token for a purpose, as a mail shows it."""
    async with identity.database.transaction() as tx:
        query = "SELECT id FROM one_time_tokens WHERE purpose = $1 ORDER BY create_time DESC LIMIT 1"
        token_id = await tx.fetchval(query, purpose)
    request = FetchOneTimeTokenRequest(id=str(token_id))
    answer = await (await identity.workload("notifications")).fetch_one_time_token(request)
    return answer.link.rpartition("token=")[2]


async def reset_token(identity: Identity, email: str) -> str:
    """Asks to reset the password of an account, and returns the mailed token."""
    await (await identity.client()).request_password_reset(RequestPasswordResetRequest(email=email))
    return await mailed_token(identity, "reset_password")


async def reason(call: object) -> str:
    """Returns the reason of the error that a call raises."""
    with pytest.raises(MeshError) as caught:
        await call  # type: ignore[misc]
    return caught.value.reason


async def sign_in(identity: Identity, email: str, password: str) -> None:
    """Signs in with a password."""
    request = IssueTokenRequest(grant_type="password", username=email, password=password)
    await (await identity.client()).issue_token(request)


async def test_a_mailed_token_confirms_the_address_once(identity: Identity) -> None:
    """The token of the registration confirms it; a second use, and a token that was never issued, are refused."""
    _, client = await identity.signed_in()
    assert not (await client.get_user(ME)).email_confirmed
    token = await mailed_token(identity, "confirm_email")
    anyone = await identity.client()
    await anyone.confirm_email(ConfirmEmailRequest(token=token))
    assert (await client.get_user(ME)).email_confirmed
    for wrong in (token, FORGED, "x"):
        assert await reason(anyone.confirm_email(ConfirmEmailRequest(token=wrong))) == "ONE_TIME_TOKEN_INVALID"
    with pytest.raises(FailedPrecondition):
        await client.request_email_confirmation(RequestEmailConfirmationRequest(name="users/me"))


async def test_a_repeated_confirmation_gets_the_first_answer(identity: Identity) -> None:
    """A client whose answer was lost repeats the request with its id, and succeeds."""
    await identity.register()
    token, client = await mailed_token(identity, "confirm_email"), await identity.client()
    request = ConfirmEmailRequest(token=token, request_id="0b36c9a2-58a3-4a5e-9f0e-1d3a4b5c6d7e")
    assert await client.confirm_email(request) == await client.confirm_email(request)


async def test_only_notifications_gets_the_link(identity: Identity) -> None:
    """The link leads to a page of the issuer and to the address; a used token, other workloads and users get none."""
    user, client = await identity.signed_in()
    async with identity.database.transaction() as tx:
        request = FetchOneTimeTokenRequest(id=str(await tx.fetchval("SELECT id FROM one_time_tokens")))
    notifications = await identity.workload("notifications")
    answer = await notifications.fetch_one_time_token(request)
    assert answer.email == user.email
    assert answer.link.startswith(f"{ISSUER}/v1/account/confirmEmail?token=")
    assert answer == await notifications.fetch_one_time_token(request), "a mail that is sent again has the same link"
    for other in (client, await identity.workload("orders")):
        with pytest.raises(PermissionDenied):
            await other.fetch_one_time_token(request)
    await client.confirm_email(ConfirmEmailRequest(token=answer.link.rpartition("=")[2]))
    with pytest.raises(NotFound):
        await notifications.fetch_one_time_token(request)


async def test_no_stored_row_contains_a_token(identity: Identity) -> None:
    """Neither the outbox nor the table of tokens shows what the mail contains."""
    await identity.register()
    token = await mailed_token(identity, "confirm_email")
    async with identity.database.transaction() as tx:
        stored = await tx.fetchval("SELECT string_agg(o::text, '') FROM mesh.outbox AS o")
        stored += await tx.fetchval("SELECT string_agg(t::text, '') FROM one_time_tokens AS t")
    assert token not in stored
    assert token.encode().hex() not in stored


async def test_another_confirmation_is_mailed_after_a_day(identity: Identity) -> None:
    """An earlier request is rejected with the time to wait."""
    user, client = await identity.signed_in()
    request = RequestEmailConfirmationRequest(name="users/me")
    with pytest.raises(ResourceExhausted) as caught:
        await client.request_email_confirmation(request)
    assert caught.value.retry_after_s is not None
    await identity.execute("UPDATE one_time_tokens SET create_time = now() - interval '25 hours'")
    await client.request_email_confirmation(request)
    assert (await identity.events())[-1] == ("meshwright.identity.v1.EmailConfirmationRequested", user.name)


async def test_a_reset_ends_all_sessions_and_sets_the_password(identity: Identity) -> None:
    """The new password signs in, the old one does not; access and refresh tokens and other links have ended."""
    user, client = await identity.signed_in()
    tokens = await identity.sign_in(user.email)
    other = await reset_token(identity, user.email)
    token = await reset_token(identity, user.email.upper())
    anyone = await identity.client()
    await anyone.reset_password(ResetPasswordRequest(token=token, new_password=NEW))
    with pytest.raises(Unauthenticated):
        await client.get_user(ME)
    refresh = IssueTokenRequest(grant_type="refresh_token", refresh_token=tokens.refresh_token)
    assert await reason(anyone.issue_token(refresh)) == "INVALID_GRANT"
    again = ResetPasswordRequest(token=other, new_password=PASSWORD)
    assert await reason(anyone.reset_password(again)) == "ONE_TIME_TOKEN_INVALID"
    await sign_in(identity, user.email, NEW)
    assert await reason(sign_in(identity, user.email, PASSWORD)) == "INVALID_GRANT"
    assert await identity.count("SELECT count(*) FROM users WHERE email_confirmed") == 1, "the mail was read"
    assert (await identity.events())[-1] == ("meshwright.identity.v1.PasswordChanged", user.name)


async def test_of_two_uses_at_once_one_succeeds(identity: Identity) -> None:
    """A token is used once, whoever is first."""
    user = await identity.register()
    token, client = await reset_token(identity, user.email), await identity.client()
    calls = [client.reset_password(ResetPasswordRequest(token=token, new_password=NEW)) for _ in range(4)]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(not isinstance(answer, MeshError) for answer in answers) == 1


async def test_a_token_serves_one_purpose(identity: Identity) -> None:
    """A token that confirms an address can't reset a password, and the attempt does not use it up."""
    await identity.register()
    token, client = await mailed_token(identity, "confirm_email"), await identity.client()
    wrong = ResetPasswordRequest(token=token, new_password=NEW)
    assert await reason(client.reset_password(wrong)) == "ONE_TIME_TOKEN_INVALID"
    await client.confirm_email(ConfirmEmailRequest(token=token))


async def test_an_expired_token_is_refused(identity: Identity) -> None:
    """An expired token is rejected as if it had never been issued."""
    user = await identity.register()
    token, client = await reset_token(identity, user.email), await identity.client()
    await identity.execute("UPDATE one_time_tokens SET expire_time = now()")
    request = ResetPasswordRequest(token=token, new_password=NEW)
    assert await reason(client.reset_password(request)) == "ONE_TIME_TOKEN_INVALID"


async def test_a_reset_does_not_reveal_whether_there_is_an_account(identity: Identity) -> None:
    """Nothing happens for an unknown address, and the answer is the same; after some mails no more are sent."""
    user, client = await identity.register(), await identity.client()
    for email in ("nobody@example.com", "ñ@example.com", *[user.email] * (MAIL_LIMIT.free_failures + 2)):
        await client.request_password_reset(RequestPasswordResetRequest(email=email))
    query = "SELECT count(*) FROM mesh.outbox WHERE type LIKE '%PasswordResetRequested'"
    assert await identity.count(query) == MAIL_LIMIT.free_failures


async def test_forged_tokens_are_limited_and_right_ones_are_not(identity: Identity) -> None:
    """After many forged tokens further ones are refused with a wait; the mailed one works meanwhile."""
    await identity.register()
    token, client = await mailed_token(identity, "confirm_email"), await identity.client()
    request = ConfirmEmailRequest(token=FORGED)
    reasons = [await reason(client.confirm_email(request)) for _ in range(TOKEN_LIMIT.free_failures + 1)]
    assert reasons == ["ONE_TIME_TOKEN_INVALID"] * TOKEN_LIMIT.free_failures + ["TOO_MANY_WRONG_TOKENS"]
    await client.confirm_email(ConfirmEmailRequest(token=token))


async def test_a_changed_password_ends_the_other_sessions_only(identity: Identity) -> None:
    """The caller stays signed in; others and mailed links do not, and the old password no longer works."""
    user, client = await identity.signed_in()
    elsewhere = await identity.client((await identity.sign_in(user.email)).access_token)
    token = await reset_token(identity, user.email)
    request = ChangePasswordRequest(name="users/me", old_password=PASSWORD, new_password=NEW)
    await client.change_password(request)
    assert (await client.get_user(ME)).email == user.email
    with pytest.raises(Unauthenticated):
        await elsewhere.get_user(ME)
    with pytest.raises(InvalidArgument):
        await elsewhere.reset_password(ResetPasswordRequest(token=token, new_password=PASSWORD))
    assert await reason(client.change_password(request)) == "PASSWORD_WRONG"
    await sign_in(identity, user.email, NEW)


async def test_a_changed_password_leaves_the_link_that_confirms_the_address(identity: Identity) -> None:
    """The address gets no other within a day. A link that would change it ends."""
    _, client = await identity.signed_in()
    confirming = await mailed_token(identity, "confirm_email")
    await client.change_email(ChangeEmailRequest(name="users/me", email="new@example.com", password=PASSWORD))
    changing = await mailed_token(identity, "change_email")
    await client.change_password(ChangePasswordRequest(name="users/me", old_password=PASSWORD, new_password=NEW))
    assert (
        await reason(client.request_email_confirmation(RequestEmailConfirmationRequest(name="users/me")))
        == "TOO_MANY_MAILS"
    )
    assert await reason(client.confirm_email(ConfirmEmailRequest(token=changing))) == "ONE_TIME_TOKEN_INVALID"
    await client.confirm_email(ConfirmEmailRequest(token=confirming))
    assert (await client.get_user(ME)).email_confirmed


async def test_an_address_changes_when_the_new_one_is_confirmed(identity: Identity) -> None:
    """Until then the old one signs in; afterwards the new one does, and is confirmed."""
    user, client = await identity.signed_in()
    request = ChangeEmailRequest(name="users/me", email="new@example.com", password=PASSWORD)
    wrong = ChangeEmailRequest(name="users/me", email="new@example.com", password="wrong password")
    assert await reason(client.change_email(wrong)) == "PASSWORD_WRONG"
    await client.change_email(request)
    assert (await identity.events())[-1] == ("meshwright.identity.v1.EmailChangeRequested", user.name)
    assert (await client.get_user(ME)).email == user.email
    await client.confirm_email(ConfirmEmailRequest(token=await mailed_token(identity, "change_email")))
    changed = await client.get_user(ME)
    assert (changed.email, changed.email_confirmed) == ("new@example.com", True)
    await sign_in(identity, "new@example.com", PASSWORD)
    assert await reason(sign_in(identity, user.email, PASSWORD)) == "INVALID_GRANT"


async def test_a_change_to_a_taken_address_informs_its_owner_only(identity: Identity) -> None:
    """The caller learns nothing; if the address is taken later, the confirmation fails and changes nothing."""
    owner = await identity.register("owner@example.com")
    _, client = await identity.signed_in()
    await client.change_email(ChangeEmailRequest(name="users/me", email="Owner@example.com", password=PASSWORD))
    assert (await identity.events())[-1] == ("meshwright.identity.v1.RegistrationRepeated", owner.name)
    await client.change_email(ChangeEmailRequest(name="users/me", email="late@example.com", password=PASSWORD))
    token = await mailed_token(identity, "change_email")
    await identity.register("late@example.com")
    with pytest.raises(AlreadyExists):
        await client.confirm_email(ConfirmEmailRequest(token=token))


async def test_sessions_are_listed_and_ended(identity: Identity) -> None:
    """A user sees each sign-in, ends one, and can't see or end those of others."""
    user, client = await identity.signed_in()
    other = await identity.client((await identity.sign_in(user.email)).access_token)
    _, stranger = await identity.signed_in()
    first = await client.list_sessions(ListSessionsRequest(parent="users/me", page_size=1))
    rest = await client.list_sessions(
        ListSessionsRequest(parent=user.name, page_size=1, page_token=first.next_page_token)
    )
    [newest], [oldest] = first.sessions, rest.sessions
    assert (newest.current, oldest.current, rest.next_page_token) == (False, True, "")
    assert newest.client_id == "public"
    assert "profile" in newest.scopes
    with pytest.raises(NotFound):
        await stranger.delete_session(DeleteSessionRequest(name=newest.name))
    await client.delete_session(DeleteSessionRequest(name=newest.name))
    with pytest.raises(Unauthenticated):
        await other.get_user(ME)
    assert await reason(client.delete_session(DeleteSessionRequest(name=newest.name))) == "SESSION_NOT_FOUND"
    assert (await client.list_sessions(ListSessionsRequest(parent="users/me"))).sessions == [oldest]
