"""OAuth clients that others wrote, against the running mesh: requests-oauthlib and Authlib."""

import html
import re
from typing import Any

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from oauthlib.oauth2 import (
    BackendApplicationClient,
    InvalidClientError,
    InvalidGrantError,
    InvalidScopeError,
    LegacyApplicationClient,
    OAuth2Error,
    UnsupportedGrantTypeError,
)
from requests_oauthlib import OAuth2Session

from tests.system.mesh import PASSWORD, Client, Mesh

TOKEN, WORKLOAD_TOKEN, REVOKE = "/v1/oauth2/token", "/v1/oauth2/workloadToken", "/v1/oauth2/revoke"


@pytest.fixture(autouse=True)
def allow_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets oauthlib send tokens without TLS, as on the loopback interface."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def session(**client: Any) -> OAuth2Session:
    """Returns a session of requests-oauthlib for the password grant."""
    return OAuth2Session(client=LegacyApplicationClient("", **client))


def workload_secret(mesh: Mesh) -> str:
    """Returns the secret of a workload that has one."""
    return (mesh.home / "secrets" / "notifications-client").read_text().strip()


def test_requests_oauthlib_signs_in_and_refreshes(mesh: Mesh, customer: Client) -> None:
    """A token serves for calls, and a refresh token for the next; the one before raises InvalidGrantError."""
    oauth, url = session(), f"{mesh.url}{TOKEN}"
    first = oauth.fetch_token(url, username=customer.email, password=PASSWORD, include_client_id=False)
    assert oauth.get(f"{mesh.url}/v1/users/me").json()["email"] == customer.email
    second = oauth.refresh_token(url)
    assert second["access_token"] != first["access_token"]
    with pytest.raises(InvalidGrantError, match="refresh token"):
        oauth.refresh_token(url, refresh_token=first["refresh_token"])


def test_requests_oauthlib_raises_what_went_wrong(mesh: Mesh, customer: Client) -> None:
    """Each error of RFC 6749, section 5.2, is the exception of its name."""
    url, login = f"{mesh.url}{TOKEN}", {"username": customer.email, "password": PASSWORD, "include_client_id": False}
    with pytest.raises(InvalidGrantError, match=r"The e-mail address or the password is wrong\.") as caught:
        session().fetch_token(url, **login | {"password": "wrong password"})
    assert caught.value.status_code == 400
    with pytest.raises(InvalidScopeError):
        session(scope="no.such.scope").fetch_token(url, **login)
    with pytest.raises(OAuth2Error, match="username") as wrong:  # oauthlib has several classes for this code
        session().fetch_token(url, **login | {"username": "x" * 300})
    assert wrong.value.error == "invalid_request"
    other = session()
    other._client.grant_type = "magic"
    with pytest.raises(UnsupportedGrantTypeError):
        other.fetch_token(url, **login)


def test_requests_oauthlib_authenticates_a_workload(mesh: Mesh) -> None:
    """The client credentials grant works by Basic and in the body; a wrong secret raises InvalidClientError."""
    url = f"{mesh.url}{WORKLOAD_TOKEN}"
    oauth = OAuth2Session(client=BackendApplicationClient("notifications"))
    for options in ({}, {"include_client_id": True}):
        token = oauth.fetch_token(url, client_secret=workload_secret(mesh), **options)
        assert token["token_type"] == "Bearer"
        with pytest.raises(InvalidClientError):
            oauth.fetch_token(url, client_secret="wrong", **options)


def test_authlib_signs_in_refreshes_and_revokes(mesh: Mesh, customer: Client) -> None:
    """A revoked sign-in can't be refreshed: OAuthError with the code and the description."""
    url = f"{mesh.url}{TOKEN}"
    with OAuth2Client(token_endpoint_auth_method="none") as oauth:
        oauth.fetch_token(url, grant_type="password", username=customer.email, password=PASSWORD)
        token = oauth.refresh_token(url)
        assert oauth.get(f"{mesh.url}/v1/users/me").json()["email"] == customer.email
        revoked = oauth.revoke_token(f"{mesh.url}{REVOKE}", token["refresh_token"], "refresh_token")
        assert revoked.status_code == 200
        with pytest.raises(OAuthError) as caught:
            oauth.refresh_token(url, refresh_token=token["refresh_token"])
    assert (caught.value.error, caught.value.description[:17]) == ("invalid_grant", "The refresh token")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_authenticates_a_workload(mesh: Mesh, method: str) -> None:
    """The client credentials grant works by Basic and in the body; a wrong secret is invalid_client."""
    url = f"{mesh.url}{WORKLOAD_TOKEN}"
    with OAuth2Client("notifications", workload_secret(mesh), token_endpoint_auth_method=method) as oauth:
        assert oauth.fetch_token(url, grant_type="client_credentials")["token_type"] == "Bearer"
    with (
        OAuth2Client("notifications", "wrong", token_endpoint_auth_method=method) as oauth,
        pytest.raises(OAuthError) as caught,
    ):
        oauth.fetch_token(url, grant_type="client_credentials")
    assert caught.value.error == "invalid_client"


def test_a_refused_client_is_challenged_for_its_secret(mesh: Mesh, anyone: Client) -> None:
    """401 has a challenge for Basic, whichever way the client sent its secret (RFC 6749, section 5.2)."""
    form = {"grant_type": "client_credentials", "client_id": "notifications", "client_secret": "wrong"}
    in_body = anyone.post(WORKLOAD_TOKEN, data=form)
    by_basic = anyone.post(WORKLOAD_TOKEN, data={"grant_type": "client_credentials"}, auth=("notifications", "wrong"))
    for answer in (in_body, by_basic):
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert answer.headers["www-authenticate"].startswith("Basic ")


class Browser(httpx.Client):
    """A browser of a user who signs in on the page; it follows no redirects, so that tests see them."""

    def submit(self, page: httpx.Response, **values: str) -> httpx.Response:
        """Fills in the form of a page and sends it, with its hidden fields."""
        action = re.search(r'<form method="post" action="([^"]+)"', page.text)
        assert action is not None, page.text
        hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
        form = {name: html.unescape(value) for name, value in hidden} | values
        return self.post(page.url.join(html.unescape(action[1])), data=form)


def browser_client(metadata: dict[str, Any]) -> dict[str, str]:
    """Returns the browser application that `make up` declares, with its redirect URI."""
    return {"client_id": "docs", "redirect_uri": f"{metadata['issuer']}/docs/oauth2-redirect.html"}


def metadata_of(mesh: Mesh) -> dict[str, Any]:
    """Returns the issuer's metadata (RFC 8414)."""
    metadata: dict[str, Any] = httpx.get(f"{mesh.url}/.well-known/oauth-authorization-server").json()
    return metadata


def test_authlib_signs_in_by_the_code_flow(mesh: Mesh, customer: Client) -> None:
    """Discovery, the page, the redirect, the exchange with the verifier, a call and a refresh, by a real client; a code
    that is used again ends it all.
    """
    metadata = metadata_of(mesh)
    app = {**browser_client(metadata), "scope": "profile", "code_challenge_method": "S256"}
    verifier = generate_token(48)
    with Browser() as browser, OAuth2Client(**app, token_endpoint_auth_method="none") as oauth:
        url, state = oauth.create_authorization_url(metadata["authorization_endpoint"], code_verifier=verifier)
        page = browser.get(url)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        wrong = browser.submit(page, username=customer.email, password="wrong password")
        assert wrong.status_code == 401
        sent = browser.submit(wrong, username=customer.email, password=PASSWORD)
        assert (sent.status_code, sent.headers["content-type"]) == (303, "text/plain; charset=utf-8")
        location = sent.headers["location"]
        assert location.startswith(f"{app['redirect_uri']}?code=")
        exchange = {"authorization_response": location, "state": state, "code_verifier": verifier}
        token = oauth.fetch_token(metadata["token_endpoint"], **exchange)
        assert token["scope"] == "profile"
        assert oauth.get(f"{mesh.url}/v1/users/me").json()["email"] == customer.email
        oauth.refresh_token(metadata["token_endpoint"])
        [session] = [
            each for each in oauth.get(f"{mesh.url}/v1/users/me/sessions").json()["sessions"] if each.get("current")
        ]
        assert (session["clientId"], session["userAgent"]) == ("docs", oauth.headers["user-agent"])
        with pytest.raises(OAuthError, match="invalid_grant"):
            oauth.fetch_token(metadata["token_endpoint"], **exchange)
        assert httpx.get(f"{mesh.url}/v1/users/me", headers=bearer(token)).status_code == 401


def test_a_foreign_redirect_is_a_page(mesh: Mesh) -> None:
    """A redirect to a URL that the application has not registered is an error page (RFC 9700, section 4.11)."""
    query = {**browser_client(metadata_of(mesh)), "redirect_uri": "https://evil.example.com/", "response_type": "code"}
    answer = httpx.get(f"{mesh.url}/v1/oauth2/authorize", params=query)
    assert answer.status_code == 400
    assert "location" not in answer.headers


def test_docs_has_the_page_of_its_redirect(mesh: Mesh) -> None:
    """The issuer accepts the redirect URI that /docs sends, and there is a page at it."""
    metadata = metadata_of(mesh)
    page = httpx.get(f"{mesh.url}/docs").text
    redirect = re.search(r'data-client="docs" data-redirect="([^"]+)"', page)
    assert redirect is not None
    app = {"client_id": "docs", "redirect_uri": metadata["issuer"] + redirect[1]}
    assert app == browser_client(metadata)
    challenge = {"code_challenge": "c" * 43, "code_challenge_method": "S256"}
    asked = httpx.get(metadata["authorization_endpoint"], params={**app, **challenge, "response_type": "code"})
    assert (asked.status_code, "<form" in asked.text) == (200, True)
    assert "/docs/assets/oauth2-redirect.js" in httpx.get(app["redirect_uri"]).text


def bearer(token: dict[str, Any]) -> dict[str, str]:
    """Returns the header of a call with an access token."""
    return {"authorization": f"Bearer {token['access_token']}"}
