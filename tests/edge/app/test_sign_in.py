"""Signing in on /docs: by a code of the contract's own issuer, or with a password."""

import json
import subprocess
import sysconfig
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import pytest

from edge.contract.contract import Contract, read
from tests.edge.app.test_home import TOKENS
from tests.edge.backend import Backend
from tests.edge.contracts import LIBRARY, compile_image
from tests.edge.served import edge_of

AUTHORIZATION: Final = """
message AuthorizationRequest {
  string client_id = 1;
  string redirect_uri = 2;
  string response_type = 3;
  string code_challenge = 4;
}
service Pages {
  rpc Show(AuthorizationRequest) returns (google.protobuf.Empty) {
    option (google.api.http) = {get: "/v1/authorize"};
  }
}
"""
SECURED: Final[dict[str, Any]] = {
    "jwks_url": "http://localhost:1/jwks.json",
    "token_issuer": "https://shop.example.com/",
}
REDIRECT: Final = "/docs/oauth2-redirect.html"
NODE: Final = Path(sysconfig.get_path("scripts"), "node")

# The window of the redirect, with that of /docs as its opener.
WINDOW: Final = """
const done = {errors: [], answers: []};
const request = {
  state: "mine", redirectUrl: "https://shop.example.com/", auth: {name: "oauth2"},
  errCb: (error) => done.errors.push(error.message),
  callback: (answer) => done.answers.push([answer.auth.code, answer.redirectUrl]),
};
const asked = {swaggerUIRedirectOauth2: request};
const state = {textContent: ""};
globalThis.window = {opener: OPENER, close: () => { done.closed = true; }};
globalThis.document = {getElementById: () => state};
globalThis.location = {search: SEARCH};
(0, eval)(SCRIPT);
done.text = state.textContent;
console.log(JSON.stringify({...done, waiting: asked.swaggerUIRedirectOauth2 === request}));
"""


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """Returns a contract with a token endpoint and an authorization endpoint."""
    return read(compile_image(LIBRARY + TOKENS + AUTHORIZATION, tmp_path))


def answer(search: str, opener: str = "asked") -> dict[str, Any]:
    """Runs the script of the redirect's page, and returns what it did."""
    script = (files("edge.app") / "static" / "oauth2-redirect.js").read_text()
    code = WINDOW.replace("OPENER", opener).replace("SEARCH", json.dumps(search)).replace("SCRIPT", json.dumps(script))
    run = subprocess.run([NODE, "--eval", code], capture_output=True, text=True, check=True)
    done: dict[str, Any] = json.loads(run.stdout)
    return done


async def test_docs_sign_in_by_a_code(contract: Contract, backend: Backend) -> None:
    """The scheme has both endpoints, and the script learns its client, the redirect, and where the issuer returns."""
    async with edge_of(contract, backend.port, **SECURED) as edge:
        document = (await edge.get("/openapi.json?view=reading")).json()
        flows = document["components"]["securitySchemes"]["oauth2"]["flows"]
        assert list(flows) == ["authorizationCode"]
        assert flows["authorizationCode"]["authorizationUrl"] == "/v1/authorize"
        assert flows["authorizationCode"]["tokenUrl"] == "/v1/token"
        page = (await edge.get("/docs")).text
        assert f'data-client="docs" data-redirect="{REDIRECT}" data-issuer="https://shop.example.com/docs"' in page
    async with edge_of(contract, backend.port, pages_path="/own", **SECURED) as edge:
        page = (await edge.get("/own/docs")).text
        assert f'data-redirect="/own{REDIRECT}" data-issuer="https://shop.example.com/own/docs"' in page


@pytest.mark.parametrize("issuer", ["", 'shop"><script>'])
async def test_an_issuer_without_a_url_is_not_linked(contract: Contract, backend: Backend, issuer: str) -> None:
    """Nobody knows then where the issuer returns."""
    async with edge_of(contract, backend.port, **{**SECURED, "token_issuer": issuer}) as edge:
        assert 'data-issuer=""' in (await edge.get("/docs")).text


async def test_another_issuer_takes_the_password(contract: Contract, backend: Backend) -> None:
    """The page of the issuer at OAUTH_TOKEN_URL is not known; an edge that verifies no tokens signs nobody in."""
    async with edge_of(contract, backend.port, **SECURED, oauth_token_url="https://id.example.com/token") as edge:
        document = (await edge.get("/openapi.json?view=reading")).json()
        assert list(document["components"]["securitySchemes"]["oauth2"]["flows"]) == ["password"]
        assert "data-redirect" not in (await edge.get("/docs")).text
    async with edge_of(contract, backend.port) as edge:
        assert "data-redirect" not in (await edge.get("/docs")).text


@pytest.mark.parametrize("base", ["", "/own"])
async def test_the_redirect_has_a_page(contract: Contract, backend: Backend, base: str) -> None:
    """It loads one script, a file of the edge, by the policy of all pages."""
    async with edge_of(contract, backend.port, pages_path=base, **SECURED) as edge:
        page = await edge.get(f"{base}{REDIRECT}", params={"code": "c", "state": "s"})
        assert page.status_code == 200
        assert "script-src 'self';" in page.headers["content-security-policy"]
        script = f"{base}/docs/assets/oauth2-redirect.js"
        assert f'<script src="{script}"></script>' in page.text
        assert page.text.count("<script") == 1
        assert (await edge.get(script)).status_code == 200


def test_the_code_goes_to_the_page_that_asked() -> None:
    """The answer with its state is handed over once, and the window closes."""
    done = answer("?code=c%2B1&state=mine&iss=x")
    assert done["answers"] == [["c+1", "https://shop.example.com/"]]
    assert (done["errors"], done["closed"], done["waiting"]) == ([], True, False)


@pytest.mark.parametrize("search", ["?code=c&state=other", "?code=c", ""])
def test_the_answer_to_another_request_is_refused(search: str) -> None:
    """A code without the state of this sign-in is not used."""
    done = answer(search)
    assert done["answers"] == []
    assert done["errors"] == ["This answer is for another sign-in. Choose Authorize again."]
    assert done["waiting"]


@pytest.mark.parametrize(
    ("search", "error"),
    [
        ("?state=mine&error=access_denied", "access_denied"),
        ("?state=mine&error=invalid_scope&error_description=No+such+scope.", "No such scope."),
        ("?state=mine", "The answer has no code."),
    ],
)
def test_an_error_is_shown_by_the_page_that_asked(search: str, error: str) -> None:
    """It is that of the issuer, in words if it has some."""
    done = answer(search)
    assert (done["answers"], done["errors"], done["closed"]) == ([], [error], True)


@pytest.mark.parametrize(
    "opener", ["null", "{}", '{get swaggerUIRedirectOauth2() { throw new Error("another site"); }}']
)
def test_a_redirect_without_a_waiting_page_is_explained(opener: str) -> None:
    """The URL was opened by hand, or /docs was left meanwhile."""
    done = answer("?code=c&state=mine", opener)
    assert done["text"] == "No page waits for this sign-in. Choose Authorize there again."
    assert (done["answers"], "closed" in done) == ([], False)
