"""The collection for Postman, of the store's document."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.contract.contract import load, read
from edge.openapi.document import Documents
from tests.edge.backend import backend_of
from tests.edge.contracts import compile_image
from tests.edge.served import edge_of
from tools.clients.document import ROOT, openapi_document
from tools.clients.postman import FORMAT, collection_of

CLASHING = """
syntax = "proto3";
package odd.v1;
import "google/api/annotations.proto";
message M {
  string name = 1;
  string base_url = 2;
  string token = 3 [json_name = "token_"];
}
service OddService {
  rpc Get(M) returns (M) { option (google.api.http) = {get: "/v1/{name=tokens/*}"}; }
  rpc GetUrl(M) returns (M) { option (google.api.http) = {get: "/v1/urls/{base_url}"}; }
  rpc GetMore(M) returns (M) { option (google.api.http) = {get: "/v1/more/{token}"}; }
}
"""
STREAMS = re.compile(r":(watch|watchLow|chat)$")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document of the store."""
    return openapi_document()


@pytest.fixture(scope="module")
def collection(document: dict[str, Any]) -> dict[str, Any]:
    """The collection that is made of it."""
    return collection_of(document)


def items(collection: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields the items of all folders."""
    for folder in collection["item"]:
        yield from folder["item"]


def filled(text: str, variables: dict[str, str]) -> str:
    """Returns a text with values in the place of its variables."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: variables[match[1]], text)


def test_it_has_each_operation_once(collection: dict[str, Any], document: dict[str, Any]) -> None:
    """Folders are services, in which a request has the name of its method."""
    assert collection["info"]["schema"] == FORMAT
    operations = [each for item in document["paths"].values() for each in item.values()]
    names = [f"{folder['name']}_{item['name']}" for folder in collection["item"] for item in folder["item"]]
    assert sorted(names) == sorted(each["operationId"] for each in operations)


def test_every_variable_is_declared(collection: dict[str, Any]) -> None:
    """The address, the token and the names of resources are variables, set in one place."""
    declared = {each["key"]: each["value"] for each in collection["variable"]}
    assert set(re.findall(r"\{\{(\w+)\}\}", json.dumps(collection))) == declared.keys()
    assert (declared["baseUrl"], declared["token"], declared["user"]) == ("http://localhost:8080", "", "me")


def test_variables_of_paths_are_not_those_of_the_collection(tmp_path: Path) -> None:
    """The access token and the address of the API stay out of the places of resources with their names."""
    contract = read(compile_image(CLASHING, tmp_path))
    document = b"".join(Documents(contract.routes, contract.registry, title="T", secured=True).pieces())
    collection = collection_of(json.loads(document))
    assert [item["request"]["url"]["raw"] for item in items(collection)] == [
        "{{baseUrl}}/v1/tokens/{{token_}}",
        "{{baseUrl}}/v1/urls/{{baseUrl_}}",
        "{{baseUrl}}/v1/more/{{token__}}",
    ]
    names = [each["key"] for each in collection["variable"]]
    assert sorted(names) == ["baseUrl", "baseUrl_", "token", "token_", "token__"]


def test_the_sign_in_sets_the_token(collection: dict[str, Any]) -> None:
    """One request keeps the token of its response; public methods are sent without it."""
    [sign_in] = [item for item in items(collection) if "event" in item]
    assert sign_in["name"] == "IssueToken"
    assert 'set("token"' in "".join(sign_in["event"][0]["script"]["exec"])
    public = {item["name"] for item in items(collection) if item["request"].get("auth") == {"type": "noauth"}}
    assert public >= {"IssueToken", "CreateUser", "ListProducts"}
    assert public.isdisjoint({"CreateOrder", "GetUser"})


def test_streams_are_shown_as_events(collection: dict[str, Any]) -> None:
    """Postman shows server-sent events one by one, and would wait for the end of an array."""
    accepts = {item["name"]: item["request"]["header"] for item in items(collection) if item["request"]["header"]}
    assert accepts["WatchOrder"] == [{"key": "Accept", "value": "text/event-stream"}]
    assert "ListOrders" not in accepts


async def test_the_edge_accepts_every_request(collection: dict[str, Any]) -> None:
    """Each URL leads to a method, and neither a body nor a parameter breaks a rule of the contract."""
    variables = {each["key"]: each["value"] or "7" for each in collection["variable"]} | {"baseUrl": ""}
    store = load(ROOT / "gen" / "contracts.binpb")
    sent = 0
    async with backend_of(store.registry) as backend, edge_of(store, backend.port) as edge:
        for item in items(collection):
            request = item["request"]
            url = filled(request["url"]["raw"], variables)
            if STREAMS.search(url):
                continue
            assert url.partition("?")[0] == "/" + filled("/".join(request["url"]["path"]), variables)
            body = request.get("body", {}).get("raw")
            headers = {"content-type": "application/json"} if body else {}
            response = await edge.request(request["method"], url, content=body, headers=headers)
            assert response.status_code not in (400, 404, 405, 415), (item["name"], response.text)
            sent += 1
    assert sent > 50
