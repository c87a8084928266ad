"""The OpenAPI documents: valid for any contract, with the same names in each, made in pieces."""

import json
from pathlib import Path
from typing import Any

import pytest
from google.longrunning import operations_proto_pb2  # type: ignore[import-untyped] # has no stubs

from edge.contract.contract import Contract, read
from edge.openapi import document
from tests.edge.contracts import LIBRARY, compile_image
from tests.edge.openapi.contracts import OLD, TORTURE, documents_of
from tests.turns import turns_of_others
from tests.valid_openapi import validate


def made(contract: Contract, service: str = "", *, secured: bool = False) -> Any:
    """Returns the parsed document of a contract."""
    return json.loads(b"".join(documents_of(contract, secured=secured).pieces(service)))


@pytest.mark.parametrize("text", [TORTURE, OLD, LIBRARY], ids=["torture", "proto2", "library"])
def test_any_contract_has_a_valid_document(text: str, tmp_path: Path) -> None:
    """An OpenAPI validator finds no fault, and every reference can be resolved."""
    for secured in (True, False):
        found = made(read(compile_image(text, tmp_path)), secured=secured)
        validate(found)
        assert _references(found) <= _places(found)


def test_the_store_and_googles_own_have_valid_documents(store: Contract, tmp_path: Path) -> None:
    """Contracts that were not written for these tests have valid documents too."""
    found = made(store, secured=True)
    validate(found)
    assert _references(found) <= _places(found)
    operations = (Path(operations_proto_pb2.__file__).parent / "operations_proto.proto").read_text()
    found = made(read(compile_image(operations, tmp_path)))
    validate(found)
    assert "/v1/{name}" in found["paths"] or "/v1/operations" in found["paths"]


def _references(value: Any) -> set[str]:
    """Returns every $ref in a document."""
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if "$ref" in value else set()
    return own.union(*map(_references, value.values()))


def _places(found: Any) -> set[str]:
    """Returns the references to all components of a document."""
    return {f"#/components/{kind}/{name}" for kind, named in found["components"].items() for name in named}


TWO_PACKAGES = """
syntax = "proto3";
package %s;
import "google/api/annotations.proto";
message M { string id = 1; }
// Number %s.
service Same {
  rpc Get(M) returns (M) {
    option (google.api.http) = {
      get: "/%s/{id}"
      additional_bindings {get: "/%s/other/{id}"}
    };
  }
  rpc Get_2(M) returns (M) { option (google.api.http) = {get: "/%s/third/{id}"}; }
}
"""


@pytest.fixture
def two(tmp_path: Path) -> Contract:
    """Returns a contract of two packages whose services have the same name."""
    image = compile_image(TWO_PACKAGES % (("a.v1",) * 5), tmp_path, "a.proto")
    image.MergeFrom(compile_image(TWO_PACKAGES % (("b.v1",) * 5), tmp_path, "b.proto"))
    return read(image)


def test_names_stay_unique(two: Contract) -> None:
    """Services, messages and RPCs of the same name in two packages have different names; additional bindings are
    numbered.
    """
    found = made(two)
    validate(found)
    ids = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
    assert ids == [f"{package}.Same_{rpc}" for package in ("a.v1", "b.v1") for rpc in ("Get", "Get_2", "Get_2_")]
    assert {"a.v1.M", "b.v1.M"} <= found["components"]["schemas"].keys()
    assert [tag["name"] for tag in found["tags"]] == ["a.v1.Same", "b.v1.Same"]
    assert [tag["description"] for tag in found["tags"]] == ["Number a.v1.", "Number b.v1."]
    assert found["x-tagGroups"] == [
        {"name": "a.v1", "tags": ["a.v1.Same"]},
        {"name": "b.v1", "tags": ["b.v1.Same"]},
    ]


def test_a_service_has_a_document_of_its_own(two: Contract) -> None:
    """The document of a service has only its routes and types, under the same names as in the document of all."""
    own, whole = made(two, "b.v1.Same"), made(two)
    validate(own)
    assert own["paths"] == {path: item for path, item in whole["paths"].items() if path.startswith("/b.v1/")}
    assert set(own["components"]["schemas"]) == {"Error", "Problem", "b.v1.M"}


async def test_a_large_contract_is_split(two: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    """The document of a large contract lists the services and the URLs of their documents."""
    monkeypatch.setattr(document, "ROUTES_TOGETHER_MAX", 5)
    documents = documents_of(two)
    listed = json.loads(await documents.json())
    validate(listed)
    assert (documents.are_split, listed["paths"]) == (True, {})
    assert listed["x-services"][1] == {"name": "b.v1.Same", "operations": 3, "url": "/openapi.json?service=b.v1.Same"}
    assert json.loads(await documents.json("b.v1.Same"))["paths"]


async def test_documents_are_cached(two: Contract) -> None:
    """A document is made once, and only a limited number is cached."""
    documents = documents_of(two)
    assert await documents.json("a.v1.Same") is await documents.json("a.v1.Same")


def test_a_packages_comment_describes_the_api(tmp_path: Path) -> None:
    """The comment of the package begins the description, and its version is that of the API."""
    info = made(read(compile_image(TORTURE, tmp_path)))["info"]
    assert info["description"].startswith("Trees and forests.\n\n")
    assert (info["title"], info["version"]) == ("T", "v1")


async def test_others_are_served_while_a_document_is_made(two: Contract, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop runs between the pieces of a document."""
    monkeypatch.setattr(document, "YIELD_EVERY_S", 0)
    async with turns_of_others() as turns:
        await documents_of(two).json()
    assert turns.count > len(two.routes)
