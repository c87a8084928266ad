"""The OpenAPI document: valid, complete, and in the words of the contract."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from edge.contract import Contract, load, read
from edge.openapi.document import Document
from tests.edge.contracts import compile_image

ROOT = Path(__file__).resolve().parents[2]

SHAPES = """
syntax = "proto3";
package shapes.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/api/httpbody.proto";
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";

// All shapes.
service ShapesService {
  // Draws a tree. And more,
  // on two lines.
  //
  // A second paragraph.
  rpc Draw(Tree) returns (Tree) {
    option (google.api.http) = {
      post: "/v1/{name=forests/*/trees/*}/{kind}:draw" body: "*"
      additional_bindings {get: "/v1/draw/{name=**}"}
      additional_bindings {custom: {kind: "BREW" path: "/v1/brew"}}
    };
  }
  rpc Fetch(Tree) returns (google.api.HttpBody) {
    option deprecated = true;
    option (google.api.http) = {get: "/v1/fetch" response_body: ""};
  }
  rpc Plant(Tree) returns (Tree) {
    option (google.api.http) = {put: "/v1/plant" body: "leaf" response_body: "leaf"};
  }
  rpc Hidden(Tree) returns (Tree);
}

// A tree.
message Tree {
  string name = 1 [(google.api.field_behavior) = REQUIRED];
  // What kind.
  Kind kind = 2;
  Leaf leaf = 3;
  repeated Tree children = 4;
  map<string, Leaf> labeled = 5;
  map<string, int32> counts = 6;
  oneof size { int64 metres = 7; double ratio = 8; }
  bytes bark = 9;
  google.protobuf.Timestamp planted = 10;
  google.protobuf.Duration age = 11;
  google.protobuf.Struct notes = 12;
  google.protobuf.Value any_value = 13;
  google.protobuf.Any extra = 14;
  google.protobuf.Int32Value rings = 15;
  google.protobuf.NullValue nothing = 16;
  string etag = 17;
  string uid = 18 [(google.api.field_behavior) = OUTPUT_ONLY];
}

message Leaf {
  string color = 1 [(buf.validate.field).string = {min_len: 2 max_len: 9 pattern: "^[a-z]+$"}];
  int32 veins = 2 [(buf.validate.field).int32 = {gte: 1 lt: 100}];
  repeated string mites = 3 [(buf.validate.field).repeated = {max_items: 3 items: {string: {email: true}}}];
  string shape = 4 [(buf.validate.field).string = {in: ["oval", "round"]}];
}

// Kinds of trees.
enum Kind {
  KIND_UNSPECIFIED = 0;
  // Green all year.
  KIND_CONIFER = 1;
}
"""


def document_of(contract: Contract, *, secured: bool) -> dict[str, Any]:
    """The document of all of a contract's routes, as it is on the wire."""
    made: dict[str, Any] = json.loads(Document(contract.routes, title="T", secured=secured).json)
    return made


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of a contract with every shape there is."""
    contract = read(compile_image(SHAPES, tmp_path_factory.mktemp("shapes")))
    return document_of(contract, secured=False)


@pytest.fixture(scope="module")
def store() -> Contract:
    """The contracts of the store."""
    return load(ROOT / "gen" / "contracts.binpb")


def test_documents_are_valid(shapes: dict[str, Any], store: Contract) -> None:
    """An OpenAPI validator finds nothing wrong, neither with every shape there is nor with the store."""
    validate(shapes)
    validate(document_of(store, secured=True))


def test_paths_are_expanded_and_hidden_methods_left_out(shapes: dict[str, Any]) -> None:
    """A variable of several segments becomes one parameter a segment; custom methods have no place."""
    assert set(shapes["paths"]) == {
        "/v1/forests/{forest}/trees/{tree}/{kind}:draw",
        "/v1/draw/{name}",
        "/v1/fetch",
        "/v1/plant",
    }
    draw = shapes["paths"]["/v1/forests/{forest}/trees/{tree}/{kind}:draw"]["post"]
    assert [parameter["name"] for parameter in draw["parameters"] if parameter["in"] == "path"] == [
        "forest",
        "tree",
        "kind",
    ]
    assert "May hold slashes." in shapes["paths"]["/v1/draw/{name}"]["get"]["parameters"][0]["description"]


def test_comments_are_the_documentation(shapes: dict[str, Any]) -> None:
    """Summary, description, tags, fields and enum values speak the contract's words."""
    draw = shapes["paths"]["/v1/draw/{name}"]["get"]
    assert draw["summary"] == "Draws a tree"
    assert draw["description"] == "Draws a tree. And more,\non two lines.\n\nA second paragraph."
    assert (draw["operationId"], draw["tags"]) == ("ShapesService_Draw_2", ["ShapesService"])
    assert shapes["tags"][0]["description"] == "All shapes."
    kind = shapes["components"]["schemas"]["shapes.v1.Kind"]
    assert kind["description"] == "Kinds of trees.\n- `KIND_CONIFER`: Green all year."
    assert shapes["paths"]["/v1/fetch"]["get"]["deprecated"] is True


def test_messages_are_as_protojson_has_them(shapes: dict[str, Any]) -> None:
    """64-bit integers are strings, times are date-times, maps are objects, messages may contain themselves."""
    tree = shapes["components"]["schemas"]["shapes.v1.Tree"]
    fields = tree["properties"]
    assert fields["metres"] == {"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}
    assert fields["planted"] == {"type": "string", "format": "date-time"}
    assert fields["children"]["items"] == {"$ref": "#/components/schemas/shapes.v1.Tree"}
    assert fields["labeled"]["additionalProperties"] == {"$ref": "#/components/schemas/shapes.v1.Leaf"}
    assert fields["rings"]["type"] == ["integer", "null"]
    assert fields["uid"]["readOnly"] is True
    assert tree["required"] == ["name"]
    choice = [{"required": ["metres"]}, {"required": ["ratio"]}]
    assert tree["allOf"] == [{"oneOf": [*choice, {"not": {"anyOf": choice}}]}]


def test_rules_become_keywords(shapes: dict[str, Any]) -> None:
    """What protovalidate checks is what the schema says."""
    leaf = shapes["components"]["schemas"]["shapes.v1.Leaf"]["properties"]
    assert leaf["color"] == {"type": "string", "minLength": 2, "maxLength": 9, "pattern": "^[a-z]+$"}
    assert (leaf["veins"]["minimum"], leaf["veins"]["exclusiveMaximum"]) == (1, 100)
    assert leaf["mites"] == {"type": "array", "maxItems": 3, "items": {"type": "string", "format": "email"}}
    assert leaf["shape"]["enum"] == ["oval", "round"]


def test_bodies_and_answers_follow_the_rule(shapes: dict[str, Any]) -> None:
    """A body `*` lacks what the path holds; a field as body or answer is that field; HttpBody is raw."""
    draw = shapes["paths"]["/v1/forests/{forest}/trees/{tree}/{kind}:draw"]["post"]
    body = draw["requestBody"]["content"]["application/json"]["schema"]
    assert "leaf" in body["properties"]
    assert not {"name", "kind"} & set(body["properties"])
    plant = shapes["paths"]["/v1/plant"]["put"]
    reference = {"$ref": "#/components/schemas/shapes.v1.Leaf"}
    assert plant["requestBody"]["content"]["application/json"]["schema"] == reference
    assert plant["responses"]["200"]["content"]["application/json"]["schema"] == reference
    assert "*/*" in shapes["paths"]["/v1/fetch"]["get"]["responses"]["200"]["content"]


def test_query_parameters_are_the_leaves(shapes: dict[str, Any]) -> None:
    """Nested fields are parameters of their own, lists of messages and what only the service sets are none."""
    names = {each["name"] for each in shapes["paths"]["/v1/draw/{name}"]["get"]["parameters"] if each["in"] == "query"}
    assert {"kind", "leaf.color", "leaf.mites", "counts", "planted", "rings"} <= names
    assert not {"name", "leaf", "children", "labeled", "notes", "uid"} & names


def test_access_is_the_policys(store: Contract) -> None:
    """Public methods want no token, others name their scopes; a success has the contract's status."""
    paths = document_of(store, secured=True)["paths"]
    assert paths["/v1/users"]["post"]["security"] == []
    assert paths["/v1/products"]["post"]["security"] == [{"bearer": ["catalog.write"]}]
    responses = paths["/v1/products"]["post"]["responses"]
    assert set(responses) == {"201", "400", "401", "403", "404", "503", "504", "default"}
    headers = [each["name"] for each in paths["/v1/orders"]["post"]["parameters"] if each["in"] == "header"]
    assert headers == ["Idempotency-Key"]


def test_an_update_requires_nothing(store: Contract) -> None:
    """A PATCH gives the fields to change; what a new resource must have is not demanded of it."""
    document = document_of(store, secured=True)
    patch = document["paths"]["/v1/products/{product}"]["patch"]
    reference = patch["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert reference == "#/components/schemas/meshwright.catalog.v1.Product.update"
    schemas = document["components"]["schemas"]
    assert "required" not in schemas["meshwright.catalog.v1.Product.update"]
    assert "title" in schemas["meshwright.catalog.v1.Product"]["required"]


def test_one_path_has_one_spelling(tmp_path: Path) -> None:
    """Paths that differ in the names of their variables only are one path to OpenAPI; literals stay encoded."""
    text = """
    syntax = "proto3";
    package one.v1;
    import "google/api/annotations.proto";
    message M { string id = 1; string other_id = 2; }
    service One {
      rpc Get(M) returns (M) { option (google.api.http) = {get: "/v1/a%20b/{id}"}; }
      rpc Drop(M) returns (M) { option (google.api.http) = {delete: "/v1/a%20b/{other_id}"}; }
      rpc Any(M) returns (M) { option (google.api.http) = {get: "/v1/*/**"}; }
    }
    """
    paths = document_of(read(compile_image(text, tmp_path)), secured=False)["paths"]
    assert {path: set(item) for path, item in paths.items()} == {
        "/v1/a%20b/{id}": {"get", "delete"},
        "/v1/{segment}/{path}": {"get"},
    }
