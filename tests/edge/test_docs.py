"""The pages: of one document, or of one for each service, and from this machine only."""

import pytest

from edge.contract import Contract
from edge.openapi import document
from tests.edge.backend import Backend
from tests.edge.served import Client, edge_of


async def test_a_service_has_its_own_page(client: Client) -> None:
    """A query names it; one that does not exist is not found."""
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
    """By their packages, each with a link to its own page."""
    monkeypatch.setattr(document, "ROUTES_TOGETHER_MAX", 5)
    async with edge_of(library, backend.port) as edge:
        for page in ("/docs", "/redoc"):
            response = await edge.get(page)
            assert f'<a href="{page}?service=library.v1.Library">Library</a>' in response.text
            assert "<h2>library.v1</h2>" in response.text
            assert "default-src 'self'" in response.headers["content-security-policy"]
            assert "/openapi.json?service=" in (await edge.get(f"{page}?service=library.v1.Library")).text
