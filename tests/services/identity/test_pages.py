"""The pages: the authorization code flow, and the links of mails."""

import base64
import hashlib
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from googleapis.google.api.httpbody_pb import HttpBody
from meshwright.identity.v1.account_pb import ListSessionsRequest, RequestPasswordResetRequest
from meshwright.identity.v1.identity_pb import (
    GetOpenIdConfigurationRequest,
    GetUserRequest,
    IssueTokenRequest,
)
from meshwright.identity.v1.pages_grpc import PagesServiceClient
from meshwright.identity.v1.pages_pb import (
    ShowConfirmEmailRequest,
    ShowResetPasswordRequest,
    ShowSignInRequest,
    SignInRequest,
    SubmitConfirmEmailRequest,
    SubmitResetPasswordRequest,
)
from meshwright.policy.v1.policy_pb import HttpResponse

from mesh.errors import InvalidArgument, MeshError, Unauthenticated
from services.identity import pages
from services.identity.browser_clients import BrowserClients
from services.identity.grants import GRANT_TYPES
from tests.services.identity.conftest import ISSUER, PASSWORD, Identity
from tests.services.identity.test_accounts import NEW, mailed_token, sign_in

APP = "https://app.example.com/signed-in?from=shop"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
REQUEST = {
    "client_id": "web",
    "redirect_uri": APP,
    "response_type": "code",
    "state": "a state & more",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@dataclass(frozen=True)
class Page:
    """A page as a browser receives it."""

    status: int
    headers: dict[str, str]
    html: str

    @property
    def query(self) -> dict[str, str]:
        """Returns the parameters of a redirect."""
        return {name: value for name, [value] in parse_qs(urlsplit(self.headers["location"]).query).items()}


def received(body: HttpBody) -> Page:
    """Returns the page in a response."""
    chosen = body.extensions[0].unpack(HttpResponse)
    assert chosen is not None
    return Page(chosen.status, dict(chosen.headers), body.data.decode())


async def pages_of(identity: Identity) -> PagesServiceClient:
    """Returns the generated client."""
    return PagesServiceClient(await identity.channel())


async def authorized(identity: Identity, email: str, **changed: str) -> Page:
    """Returns the answer to the form of the sign-in page."""
    request = SignInRequest(**REQUEST | {"username": email, "password": PASSWORD} | changed)
    return received(await (await pages_of(identity)).sign_in(request))


def exchange(code: str, **changed: str) -> IssueTokenRequest:
    """Returns the request that exchanges a code."""
    fields = {"client_id": "web", "redirect_uri": APP, "code": code, "code_verifier": VERIFIER} | changed
    return IssueTokenRequest(grant_type="authorization_code", **fields)


async def test_a_user_signs_in_to_an_application(identity: Identity) -> None:
    """The code of the redirect gives tokens of the application, which is named in the session and can refresh them."""
    user, anyone = await identity.register(), await identity.client()
    page = await authorized(identity, user.email, scope="profile")
    assert page.status == 303
    assert page.headers["location"].startswith(f"{APP}&code=")
    assert page.query.keys() == {"from", "code", "state", "iss"}
    assert (page.query["state"], page.query["iss"]) == (REQUEST["state"], ISSUER)
    token = await anyone.issue_token(exchange(page.query["code"]))
    assert token.scope == "profile"
    client = await identity.client(token.access_token)
    assert (await client.get_user(GetUserRequest(name="users/me"))).email == user.email
    [session] = (await client.list_sessions(ListSessionsRequest(parent="users/me"))).sessions
    assert session.client_id == "web"
    refresh = {"grant_type": "refresh_token", "refresh_token": token.refresh_token}
    assert (await anyone.issue_token(IssueTokenRequest(**refresh, client_id="web"))).scope == "profile"


async def test_a_refresh_token_belongs_to_its_application(identity: Identity) -> None:
    """Another client can't use it (RFC 6749, section 10.4)."""
    user, anyone = await identity.register(), await identity.client()
    page = await authorized(identity, user.email)
    token = await anyone.issue_token(exchange(page.query["code"]))
    for client_id in ("", "other"):
        with pytest.raises(InvalidArgument):
            await anyone.issue_token(
                IssueTokenRequest(grant_type="refresh_token", refresh_token=token.refresh_token, client_id=client_id)
            )


async def test_an_application_that_was_removed_gets_no_more_tokens(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by a code nor by a refresh token. No sign-in ends, because the application may only be missing at this
    replica, and works again once it is back. Sign-ins by password are of no application.
    """
    user, anyone = await identity.register(), await identity.client()
    token = await anyone.issue_token(exchange((await authorized(identity, user.email)).query["code"]))
    code = (await authorized(identity, user.email)).query["code"]
    own = await identity.sign_in(user.email)
    refresh = {"grant_type": "refresh_token", "client_id": "web"}
    requests = (exchange(code), IssueTokenRequest(**refresh, refresh_token=token.refresh_token))
    with monkeypatch.context() as patch:
        patch.setattr(identity.handlers._grants, "_browser_clients", BrowserClients({}, ISSUER))
        for request in (*requests, *requests):
            with pytest.raises(InvalidArgument) as caught:
                await anyone.issue_token(request)
            assert caught.value.reason == "INVALID_GRANT"
        assert (await anyone.issue_token(IssueTokenRequest(**refresh, refresh_token=own.refresh_token))).access_token
    await (await identity.client(token.access_token)).get_user(GetUserRequest(name="users/me"))
    for request in requests:
        assert (await anyone.issue_token(request)).access_token


@pytest.mark.parametrize("client_id", ["web", "other"])
async def test_a_token_that_a_missing_application_uses_twice_ends_its_sign_in(
    identity: Identity, monkeypatch: pytest.MonkeyPatch, client_id: str
) -> None:
    """At the replica, too, that does not know the application. So does one that another application uses."""
    user, anyone = await identity.register(), await identity.client()
    token = await anyone.issue_token(exchange((await authorized(identity, user.email)).query["code"]))
    refresh = IssueTokenRequest(grant_type="refresh_token", client_id=client_id, refresh_token=token.refresh_token)
    if client_id == "web":
        token = await anyone.issue_token(refresh)
    monkeypatch.setattr(identity.handlers._grants, "_browser_clients", BrowserClients({}, ISSUER))
    with pytest.raises(InvalidArgument):
        await anyone.issue_token(refresh)
    with pytest.raises(Unauthenticated):
        await (await identity.client(token.access_token)).get_user(GetUserRequest(name="users/me"))


async def test_a_code_that_is_used_again_ends_its_tokens(identity: Identity) -> None:
    """Both uses may be a thief's, so nobody keeps the session."""
    user, anyone = await identity.register(), await identity.client()
    code = (await authorized(identity, user.email)).query["code"]
    token = await anyone.issue_token(exchange(code))
    with pytest.raises(InvalidArgument) as caught:
        await anyone.issue_token(exchange(code))
    assert caught.value.reason == "INVALID_GRANT"
    with pytest.raises(Unauthenticated):
        await (await identity.client(token.access_token)).get_user(GetUserRequest(name="users/me"))


@pytest.mark.parametrize(
    "changed",
    [
        {"code_verifier": "w" * 43},
        {"code_verifier": "short"},
        {"client_id": "other"},
        {"redirect_uri": f"{ISSUER}/signed-in"},
        {"code": "A" * 43},
    ],
)
async def test_a_code_serves_only_the_request_that_it_answers(identity: Identity, changed: dict[str, str]) -> None:
    """An exchange that differs is refused."""
    user, anyone = await identity.register(), await identity.client()
    code = (await authorized(identity, user.email)).query["code"]
    with pytest.raises(InvalidArgument) as caught:
        await anyone.issue_token(exchange(**{"code": code} | changed))
    assert caught.value.reason == "INVALID_GRANT"


async def test_a_code_expires_and_ends_with_the_password(identity: Identity) -> None:
    """A code of before a reset of the password gives no tokens afterwards, nor does one that is too old."""
    user, anyone, pages = await identity.register(), await identity.client(), await pages_of(identity)
    old = (await authorized(identity, user.email)).query["code"]
    await identity.execute("UPDATE authorization_codes SET expire_time = now()")
    with pytest.raises(InvalidArgument):
        await anyone.issue_token(exchange(old))
    code = (await authorized(identity, user.email)).query["code"]
    await anyone.request_password_reset(RequestPasswordResetRequest(email=user.email))
    token = await mailed_token(identity, "reset_password")
    done = received(await pages.submit_reset_password(SubmitResetPasswordRequest(token=token, new_password=NEW)))
    assert done.status == 200
    with pytest.raises(InvalidArgument):
        await anyone.issue_token(exchange(code))


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "unknown"},
        {"redirect_uri": "https://evil.example.com/"},
        {"redirect_uri": APP + "/more"},
        {"redirect_uri": "https://APP.example.com/signed-in?from=shop"},
        {"redirect_uri": ""},
    ],
)
async def test_nobody_is_redirected_to_an_unknown_place(identity: Identity, changed: dict[str, str]) -> None:
    """The redirect URI must be one of the client's, character by character; otherwise there is only a page."""
    user, pages = await identity.register(), await pages_of(identity)
    shown = received(await pages.show_sign_in(ShowSignInRequest(**REQUEST | changed)))
    for page in (shown, await authorized(identity, user.email, **changed)):
        assert page.status == 400
        assert "location" not in page.headers


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": ""}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": ""}, "invalid_request"),
        ({"scope": "no.such.scope"}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_is_answered_by_a_redirect(
    identity: Identity, changed: dict[str, str], error: str
) -> None:
    """The redirect carries the error and the application's state (RFC 6749, section 4.1.2.1)."""
    page = received(await (await pages_of(identity)).show_sign_in(ShowSignInRequest(**REQUEST | changed)))
    assert (page.status, page.query["error"], page.query["state"]) == (303, error, REQUEST["state"])


async def test_a_wrong_password_shows_the_page_again_and_is_limited(identity: Identity) -> None:
    """The page shows the error and issues no code; after some failures it shows the time to wait."""
    user = await identity.register()
    failed = [await authorized(identity, user.email, password="wrong password") for _ in range(6)]
    assert {page.status for page in failed} == {401}
    assert "is wrong" in failed[0].html
    await identity.execute("UPDATE sign_in_attempts SET blocked_until = now() + interval '1 hour'")
    assert (await authorized(identity, user.email, password="wrong password")).status == 429
    assert (await authorized(identity, user.email)).status == 429, "the right one is refused too"


async def test_the_sign_in_page_is_safe(identity: Identity) -> None:
    """Values of the request are escaped; nothing else can run in the page, frame it, or learn its URL."""
    request = ShowSignInRequest(**REQUEST | {"state": '"><script>alert(1)</script>'})
    page = received(await (await pages_of(identity)).show_sign_in(request))
    assert "<script" not in page.html
    assert "&quot;&gt;&lt;script&gt;" in page.html
    policy = page.headers["content-security-policy"]
    for directive in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self' https://app.example.com"):
        assert directive in policy.split("; ")
    assert (page.headers["referrer-policy"], page.headers["x-frame-options"]) == ("no-referrer", "DENY")
    style = page.html.partition("<style>")[2].partition("</style>")[0]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


def test_the_sign_in_page_can_lead_to_any_redirect_uri() -> None:
    """A Content-Security-Policy can't name an IPv6 address, and browsers ignore a source that does."""
    page = received(pages.page("Sign in", "", redirects_to="http://[::1]:3000/signed-in"))
    assert "form-action 'self' http:;" in page.headers["content-security-policy"]


async def test_links_of_mails_lead_to_pages(identity: Identity) -> None:
    """Opening a link changes nothing; its form does."""
    user, pages = await identity.register(), await pages_of(identity)
    token = await mailed_token(identity, "confirm_email")
    page = received(await pages.show_confirm_email(ShowConfirmEmailRequest(token=token)))
    assert token in page.html
    assert await identity.count("SELECT count(*) FROM users WHERE email_confirmed") == 0
    statuses = [
        received(await pages.submit_confirm_email(SubmitConfirmEmailRequest(token=token))).status for _ in range(2)
    ]
    assert statuses == [200, 400]
    assert await identity.count("SELECT count(*) FROM users WHERE email_confirmed") == 1
    asked = received(await pages.show_reset_password(ShowResetPasswordRequest()))
    assert 'name="email"' in asked.html
    await pages.submit_reset_password(SubmitResetPasswordRequest(email=user.email))
    token = await mailed_token(identity, "reset_password")
    assert token in received(await pages.show_reset_password(ShowResetPasswordRequest(token=token))).html
    short = received(await pages.submit_reset_password(SubmitResetPasswordRequest(token=token, new_password="short")))
    assert short.status == 400
    await pages.submit_reset_password(SubmitResetPasswordRequest(token=token, new_password=NEW))
    await sign_in(identity, user.email, NEW)


async def test_the_password_grant_can_be_turned_off(identity: Identity) -> None:
    """The password grant is then neither accepted nor announced; the code flow is always announced (RFC 8414)."""
    user, client = await identity.register(), await identity.client()
    on = await client.get_open_id_configuration(GetOpenIdConfigurationRequest())
    assert "password" in on.grant_types_supported
    identity.handlers._grant_types = GRANT_TYPES
    with pytest.raises(MeshError) as caught:
        await sign_in(identity, user.email, PASSWORD)
    assert caught.value.reason == "UNSUPPORTED_GRANT_TYPE"
    off = await client.get_open_id_configuration(GetOpenIdConfigurationRequest())
    assert "password" not in off.grant_types_supported
    assert off.code_challenge_methods_supported == ["S256"]
    assert off.authorization_endpoint == f"{ISSUER}/v1/oauth2/authorize"
