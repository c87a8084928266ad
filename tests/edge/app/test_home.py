"""The page at /, for browsers, unless the contract has that URL."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.contract.contract import Contract, read
from edge.openapi.comments import Comments
from edge.settings import EdgeSettings
from tests.edge.backend import Backend
from tests.edge.contracts import LIBRARY, compile_image
from tests.edge.served import Client, edge_of

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
TOKENS = """
message IssueRequest { string grant_type = 1; string username = 2; string password = 3; }
message Token { string access_token = 1 [json_name = "access_token"]; }
service Tokens {
  rpc Issue(IssueRequest) returns (Token) { option (google.api.http) = {post: "/v1/token" body: "*"}; }
}
"""


async def test_it_lists_the_services_and_the_pages(client: Client) -> None:
    """Each service has the number of its methods and a link to its documentation."""
    response = await client.get("/", headers=BROWSER)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["vary"] == "accept"
    assert "default-src 'self'" in response.headers["content-security-policy"]
    for url in ("/docs", "/redoc", "/openapi.json", "/readyz", "/docs?service=library.v1.Library"):
        assert f'href="{url}"' in response.text
        assert (await client.get(url)).status_code == 200
    assert "script" not in response.text


async def test_it_describes_the_services_once(
    library: Contract, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments are read for the first request only, because reading those of a large contract takes seconds."""
    read_of: list[str] = []
    of = Comments.of

    def record(self: Comments, name: str) -> str:
        read_of.append(name)
        return of(self, name)

    monkeypatch.setattr(Comments, "of", record)
    async with edge_of(library, backend.port) as edge:
        assert (await edge.get("/", headers=BROWSER)).text == (await edge.get("/", headers=BROWSER)).text
    assert read_of == ["library.v1.Library"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("text/html", 200),
        ("application/json, text/html;q=0.9", 404),
        ("application/json", 404),
    ],
)
async def test_accept_decides_between_the_page_and_an_error(client: Client, accept: str, status: int) -> None:
    """A client that prefers JSON gets an error in the shape of all errors, because the contract has nothing there."""
    response = await client.get("/", headers={"accept": accept})
    assert response.status_code == status
    if status == 404:
        assert response.json()["error"]["details"][0]["reason"] == "ROUTE_NOT_FOUND"


async def test_other_methods_are_the_contracts(client: Client) -> None:
    """Only GET and HEAD have a page; HEAD has no body."""
    assert (await client.post("/", json={}, headers=BROWSER)).status_code == 404
    head = await client.head("/", headers=BROWSER)
    assert (head.status_code, head.content) == (200, b"")


async def test_it_yields_to_the_contract(backend: Backend, tmp_path: Path) -> None:
    """A route of the contract that matches / is served."""
    text = LIBRARY.replace('get: "/v1/limited"', 'get: "/{x=**}"').replace(
        "rpc Limited(google.protobuf.Empty)", "rpc Limited(Wild)"
    )
    contract = read(compile_image(text + "message Wild { string x = 1; }", tmp_path))
    async with edge_of(contract, backend.port) as edge:
        assert (await edge.get("/", headers=BROWSER)).headers["content-type"] == "application/json"


async def test_pages_path_moves_it(library: Contract, backend: Backend) -> None:
    """Its links begin with the path, and / is the contract's."""
    async with edge_of(library, backend.port, pages_path="/own") as edge:
        assert 'href="/own/docs"' in (await edge.get("/own/", headers=BROWSER)).text
        assert (await edge.get("/", headers=BROWSER)).status_code == 404


async def test_texts_of_others_are_escaped(library: Contract, backend: Backend) -> None:
    """The title, the links and the Host header can't become markup or a command."""
    links = {"<b>Mail": 'http://localhost/"><script>'}
    async with edge_of(library, backend.port, api_title="<i>Shop", page_links=links) as edge:
        text = (await edge.get("/", headers={**BROWSER, "host": "a$(id)"})).text
    assert "&lt;i&gt;Shop" in text
    assert "&lt;b&gt;Mail" in text
    assert not {"<i>", "<b>", "<script>", "$(id)"} & {
        each for each in ("<i>", "<b>", "<script>", "$(id)") if each in text
    }


async def test_the_first_call_is_one_that_every_token_may_make(backend: Backend, tmp_path: Path) -> None:
    """A method that needs a scope would answer 403, and a public one would not show how the token is sent."""
    methods = "".join(
        f"rpc {name}(google.protobuf.Empty) returns (google.protobuf.Empty) {{ option (google.api.http) = {{get: "
        f'"/v1/{name}"}}; option (meshwright.policy.v1.method) = {{{policy}}}; }}'
        for name, policy in {"Audit": 'scopes: "audit.read"', "Hours": "public: true", "Mine": ""}.items()
    )
    text = LIBRARY.partition("service ")[0] + f"service Calls {{ {methods} }}\n" + TOKENS
    contract = read(compile_image(text, tmp_path))
    async with edge_of(contract, backend.port, jwks_url="http://localhost:1/jwks.json") as edge:
        page = (await edge.get("/", headers=BROWSER)).text
        assert "/v1/Mine -H &quot;authorization: Bearer $TOKEN&quot;" in page
        assert "/v1/Audit" not in page


async def test_it_explains_how_to_get_a_token(backend: Backend, tmp_path: Path) -> None:
    """It names the token endpoint of the contract, or that of the setting, which the scripts of /docs may call."""
    contract = read(compile_image(LIBRARY + TOKENS, tmp_path))
    jwks = "http://localhost:1/jwks.json"
    async with edge_of(contract, backend.port, jwks_url=jwks) as edge:
        assert f"curl -s {str(edge.base_url).rstrip('/')}/v1/token -d grant_type=password" in (await edge.get("/")).text
        document = (await edge.get("/openapi.json?view=reading")).json()
        flow = document["components"]["securitySchemes"]["oauth2"]["flows"]["password"]
        assert flow["tokenUrl"] == "/v1/token"
        assert "connect-src 'self';" in (await edge.get("/docs")).headers["content-security-policy"]
    url = "https://id.example.com/oauth/token"
    async with edge_of(contract, backend.port, jwks_url=jwks, oauth_token_url=url) as edge:
        assert f"curl -s {url} -d grant_type=password" in (await edge.get("/")).text
        policy = (await edge.get("/docs")).headers["content-security-policy"]
        assert "connect-src 'self' https://id.example.com;" in policy
    async with edge_of(contract, backend.port, jwks_url=jwks, oauth_token_url="https://[::1]/token") as edge:
        assert "connect-src 'self' https:;" in (await edge.get("/docs")).headers["content-security-policy"]


async def test_without_a_token_endpoint_it_names_the_header(library: Contract, backend: Backend) -> None:
    """An edge that verifies tokens of an unknown issuer says how to send one; one that verifies none says nothing."""
    async with edge_of(library, backend.port, jwks_url="http://localhost:1/jwks.json") as edge:
        assert "<code>authorization: Bearer …</code>" in (await edge.get("/")).text
    async with edge_of(library, backend.port) as edge:
        assert "authorization" not in (await edge.get("/")).text


def test_links_are_names_with_urls() -> None:
    """A link is Name=URL with http or https, so that none runs a script; an underscore is a space."""
    given = {"contracts": "-", "upstreams": "*=localhost:1"}
    links = EdgeSettings.model_validate({**given, "page_links": "Sent_mail=http://localhost:1/, Status=https://s/"})
    assert links.page_links == {"Sent mail": "http://localhost:1/", "Status": "https://s/"}
    for wrong in ("javascript:alert(1)", "Mail=javascript:alert(1)", "=http://localhost/"):
        with pytest.raises(ValidationError, match="is not Name=URL"):
            EdgeSettings.model_validate({**given, "page_links": wrong})
