"""The documentation pages: of one document, or of one for each service, with local assets only."""

import re
from pathlib import Path

import pytest

from edge.app import docs
from edge.contract.contract import Contract, read
from edge.openapi import document
from edge.openapi.reading_view import reading_view
from tests.edge.backend import Backend
from tests.edge.contracts import LIBRARY, compile_image
from tests.edge.served import Client, edge_of


async def test_a_service_has_its_own_page(client: Client) -> None:
    """The query selects the service; an unknown one is not found."""
    for page in ("/docs", "/redoc"):
        response = await client.get(page, params={"service": "library.v1.Library"})
        assert "/openapi.json?service=library.v1.Library" in response.text
        assert (await client.get(page, params={"service": "nope"})).status_code == 404
    own = (await client.get("/openapi.json", params={"service": "library.v1.Library"})).json()
    assert own["paths"] == (await client.get("/openapi.json")).json()["paths"]
    assert (await client.get("/openapi.json?service=nope")).json()["error"]["status"] == "NOT_FOUND"


async def test_the_pages_of_a_large_contract_list_its_services(
    library: Contract, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The services are listed by package, each with a link to its own page."""
    monkeypatch.setattr(document, "ROUTES_TOGETHER_MAX", 5)
    async with edge_of(library, backend.port) as edge:
        for page in ("/docs", "/redoc"):
            response = await edge.get(page)
            assert f'<a href="{page}?service=library.v1.Library">Library</a>' in response.text
            assert "<h2>library.v1</h2>" in response.text
            assert "default-src 'self'" in response.headers["content-security-policy"]
            assert "/openapi.json?service=" in (await edge.get(f"{page}?service=library.v1.Library")).text


async def test_pages_path_moves_all_pages(library: Contract, backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """PAGES_PATH also moves the assets and links; the former URLs belong to the contract."""
    async with edge_of(library, backend.port, pages_path="/own/pages") as edge:
        for page in (
            "/docs",
            "/redoc",
            "/openapi.json",
            "/livez",
            "/readyz",
            "/metrics",
            "/docs/assets/swagger-ui.css",
        ):
            assert (await edge.get(f"/own/pages{page}")).status_code == 200, page
            assert (await edge.get(page)).json()["error"]["details"][0]["reason"] == "ROUTE_NOT_FOUND"
        for page, script in (("/docs", "swagger-ui-bundle.js"), ("/redoc", "redoc.standalone.js")):
            text = (await edge.get(f"/own/pages{page}")).text
            assert '/own/pages/openapi.json"' in text.replace("'", '"')
            assert f'"/own/pages/docs/assets/{script}"' in text
    monkeypatch.setattr(document, "ROUTES_TOGETHER_MAX", 5)
    async with edge_of(library, backend.port, pages_path="/own/pages") as edge:
        text = (await edge.get("/own/pages/docs")).text
        assert '<a href="/own/pages/docs?service=library.v1.Library">' in text
        listed = (await edge.get("/own/pages/openapi.json")).json()["x-services"]
        assert listed[0]["url"] == "/own/pages/openapi.json?service=library.v1.Library"


async def test_other_methods_at_the_url_of_a_page_are_the_contracts(backend: Backend, tmp_path: Path) -> None:
    """GET returns the page; a method that the contract lacks is rejected."""
    text = LIBRARY.replace('get: "/v1/limited"', 'post: "/{x=**}" body: "*"').replace(
        "rpc Limited(google.protobuf.Empty)", "rpc Limited(Wild)"
    )
    contract = read(compile_image(text + "message Wild { string x = 1; }", tmp_path))
    async with edge_of(contract, backend.port) as edge:
        assert (await edge.post("/docs", json={})).status_code == 200
        assert (await edge.get("/docs")).headers["content-type"].startswith("text/html")
        assert (await edge.head("/docs")).status_code == 200
        assert (await edge.options("/docs")).headers["allow"] == "OPTIONS, POST"
        refused = await edge.put("/docs", json={})
        assert (refused.status_code, set(refused.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})
        assert (await edge.post("/docs/assets/%zz", json={})).json()["error"]["details"][0][
            "reason"
        ] == "MALFORMED_PATH"


async def test_the_pages_load_only_what_their_policy_allows(client: Client) -> None:
    """Their scripts and styles are files of the edge, none is inline, and ReDoc shows no logo of another host."""
    for page in ("/docs", "/redoc"):
        response = await client.get(page)
        assert "script-src 'self';" in response.headers["content-security-policy"]
        loaded = re.findall(r'<(?:script src|link rel="stylesheet" href)="([^"]+)"', response.text)
        assert len(loaded) == response.text.count("<script") + response.text.count("stylesheet")
        for url in loaded:
            assert url.startswith("/docs/assets/")
            assert (await client.get(url)).status_code == 200, url
    redoc = await client.get("/docs/assets/redoc.standalone.js")
    assert redoc.headers["content-type"].startswith("text/javascript")
    assert b"cdn.redoc.ly" not in redoc.content


async def test_the_pages_show_a_shorter_document(client: Client) -> None:
    """An operation has one response for all errors; the document for tools has them all."""
    document = (await client.get("/openapi.json")).json()
    shown = (await client.get("/openapi.json?view=reading")).json()
    assert shown["paths"].keys() == document["paths"].keys()
    for item in shown["paths"].values():
        for operation in (each for method, each in item.items() if not method.startswith("x-")):
            assert {status for status in operation["responses"] if status[0] in "45"} == set()
            assert operation["responses"]["default"]["description"].startswith("An error: 400")
    assert "404" in document["paths"]["/v1/shelves/{shelf}/books/{book}"]["get"]["responses"]
    assert "| `404` |" in shown["info"]["description"]


async def test_the_shorter_document_is_made_once(
    library: Contract, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every visitor of a page gets the same one, as with the document for tools."""
    made: list[bytes] = []

    def record(document: bytes) -> bytes:
        made.append(document)
        return reading_view(document)

    monkeypatch.setattr(docs, "reading_view", record)
    async with edge_of(library, backend.port) as edge:
        first, second = [await edge.get("/openapi.json?view=reading") for _ in range(2)]
    assert first.json() == second.json()
    assert len(made) == 1
