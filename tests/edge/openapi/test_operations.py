"""Operations: paths, parameters, bodies, responses, errors and security, in the words of the contract."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # has no stubs

from edge.contract.contract import Contract, read
from tests.edge.contracts import compile_image
from tests.edge.openapi.contracts import documents_of

RAW = {"schema": {"type": "string", "format": "binary"}}


def names(operation: dict[str, Any], place: str) -> list[str]:
    """Returns the names of an operation's parameters in one place, those of the components included."""
    given = [each for each in operation["parameters"] if each.get("in") == place]
    shared = [each["$ref"].rpartition("/")[2] for each in operation["parameters"] if "$ref" in each]
    return [each["name"] for each in given] + (shared if place == "header" else [])


def parameter(operation: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns a parameter of an operation."""
    found: dict[str, Any] = next(each for each in operation["parameters"] if each.get("name") == name)
    return found


def test_paths_are_expanded(shapes: dict[str, Any]) -> None:
    """A variable of several segments becomes one parameter a segment; `**` becomes one segment for clients that send no
    more.
    """
    draw = shapes["paths"]["/v1/forests/{forest}/trees/{tree}/{kind}:draw"]["post"]
    assert names(draw, "path") == ["forest", "tree", "kind"]
    assert parameter(draw, "forest")["description"] == "A part of `name`."
    assert parameter(draw, "kind")["schema"] == {"$ref": "#/components/schemas/shapes.v1.Kind-Text"}
    name = parameter(shapes["paths"]["/v1/draw/{name}"]["get"], "name")
    assert name["description"].startswith("One or more segments.")
    assert name["schema"]["minLength"] == 1
    assert not any("Hidden" in path for path in shapes["paths"])


def test_one_path_has_one_spelling(tmp_path: Path) -> None:
    """Paths that differ only in the names of their variables are one path in OpenAPI; literals stay encoded."""
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
    documents = documents_of(read(compile_image(text, tmp_path)))
    paths = json.loads(b"".join(documents.pieces()))["paths"]
    assert {path: set(item) for path, item in paths.items()} == {
        "/v1/a%20b/{id}": {"get", "delete"},
        "/v1/{segment}/{path}": {"get"},
    }


def test_custom_methods_have_a_place_of_their_own(shapes: dict[str, Any]) -> None:
    """OpenAPI 3.1 has no place for custom methods; OpenAPI 3.2 calls it additionalOperations."""
    assert shapes["paths"]["/v1/brew"].keys() == {"x-additionalOperations"}
    assert shapes["paths"]["/v1/brew"]["x-additionalOperations"]["BREW"]["operationId"] == "ShapesService_Draw_3"


def test_comments_are_the_documentation(shapes: dict[str, Any]) -> None:
    """The summary, the description and the tags are the comments of the contract."""
    draw = shapes["paths"]["/v1/draw/{name}"]["get"]
    assert draw["summary"] == "Draws a tree"
    assert draw["description"] == "Draws a tree. And more,\non two lines.\n\nA second paragraph."
    assert (draw["operationId"], draw["tags"]) == ("ShapesService_Draw_2", ["ShapesService"])
    assert shapes["tags"] == [{"name": "ShapesService", "description": "All shapes."}]
    assert shapes["paths"]["/v1/fetch"]["get"]["deprecated"] is True


def test_query_parameters_are_the_leaves(shapes: dict[str, Any]) -> None:
    """Nested fields are parameters of their own; lists of messages and output-only fields are not parameters."""
    given = set(names(shapes["paths"]["/v1/draw/{name}"]["get"], "query"))
    assert {"kind", "leaf.color", "leaf.mites", "counts", "planted", "rings", "notes"} <= given
    assert not {"name", "leaf", "children", "labeled", "uid"} & given


def test_parameters_are_read_from_text(shapes: dict[str, Any]) -> None:
    """Maps have keys in brackets, free JSON is JSON; descriptions name parameters that exclude or need each other."""
    list_trees = shapes["paths"]["/v1/trees"]["get"]
    labels = parameter(list_trees, "filter.labels")
    assert (labels["style"], labels["explode"]) == ("deepObject", True)
    assert "application/json" in parameter(list_trees, "hints")["content"]
    assert parameter(list_trees, "living")["schema"] == {"type": "boolean"}
    assert parameter(list_trees, "times")["schema"]["items"]["format"] == "date-time"
    assert parameter(list_trees, "filter.title")["description"] == "Not together with `number`."
    draw = shapes["paths"]["/v1/draw/{name}"]["get"]
    color = parameter(draw, "leaf.color")
    assert color["description"] == "Required if another parameter of `leaf` is given."
    assert (color["schema"]["minLength"], color["schema"]["examples"]) == (2, ["example"])
    planted = shapes["paths"]["/v1/plant/{veins}"]["put"]
    assert parameter(planted, "leaf.color")["required"] is True, "the path gives leaf.veins already"


def test_headers_are_described_where_they_apply(shapes: dict[str, Any]) -> None:
    """Each operation has the headers that the edge reads for its method, and those of its responses."""
    paths = shapes["paths"]
    assert names(paths["/v1/leaves"]["post"], "header") == ["Idempotency-Key", "X-Server-Timeout"]
    assert names(paths["/v1/draw/{name}"]["get"], "header") == ["If-None-Match", "X-Server-Timeout"]
    assert names(paths["/v1/trees"]["post"], "header") == ["If-Match", "X-Server-Timeout"]
    answer = paths["/v1/trees"]["get"]["responses"]["200"]
    assert set(answer["headers"]) == {"ETag", "Link", "X-Request-Id"}
    plant = paths["/v1/plant"]["put"]["responses"]
    assert {"RateLimit", "RateLimit-Policy"} <= set(plant["200"]["headers"])
    assert "429" in plant
    assert set(shapes["components"]["responses"]["429"]["headers"]) == {"Retry-After", "X-Request-Id"}
    assert "304" in paths["/v1/trees"]["get"]["responses"]


def test_bodies_and_answers_follow_the_rule(shapes: dict[str, Any]) -> None:
    """A body `*` lacks the fields of the path; a body or response that is a field has its schema; HttpBody is
    binary.
    """
    paths = shapes["paths"]
    draw = paths["/v1/forests/{forest}/trees/{tree}/{kind}:draw"]["post"]
    body = draw["requestBody"]["content"]["application/json"]["schema"]
    assert "leaf" in body["properties"]
    assert not {"name", "kind"} & set(body["properties"])
    plant = paths["/v1/plant"]["put"]
    given, answered = plant["requestBody"], plant["responses"]["200"]
    assert given["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/shapes.v1.Leaf-Input"}
    assert answered["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/shapes.v1.Leaf"}
    assert paths["/v1/fetch"]["get"]["responses"]["200"]["content"] == {"application/octet-stream": RAW, "*/*": RAW}
    store = paths["/v1/store"]["post"]
    assert store["requestBody"]["content"] == {"application/octet-stream": RAW}
    assert "content" not in store["responses"]["204"]
    absent = paths["/v1/plant/{veins}"]["put"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert absent["anyOf"] == [{"$ref": "#/components/schemas/Int64"}, {"type": "null"}], "of a oneof, may be absent"


def test_fields_in_the_path_are_not_required_in_the_body(shapes: dict[str, Any]) -> None:
    """A resource requires its name, but not in an update whose path holds it."""
    for path, inside in (("/v1/trees/{tree}", ()), ("/v2/trees/{tree}", ("properties", "tree"))):
        schema = shapes["paths"][path]["patch"]["requestBody"]["content"]["application/json"]["schema"]
        for step in inside:
            schema = schema[step]
        assert "name" not in schema.get("required", [])
        assert "name" not in schema["properties"]


def test_forms_are_for_flat_messages(shapes: dict[str, Any]) -> None:
    """A message of leaves may be sent as a form, as OAuth's token endpoint demands."""
    content = shapes["paths"]["/v1/token"]["post"]["requestBody"]["content"]
    given = content["application/x-www-form-urlencoded"]["schema"]
    assert given["$ref"] == content["application/json"]["schema"]["$ref"]
    form = shapes["components"]["schemas"]["shapes.v1.SignInRequest-Input"]
    assert set(form["properties"]) == {"name", "scopes", "password", "code"}
    assert (form["required"], form["description"]) == (["name"], "Exactly one of `password`, `code`.")
    assert set(shapes["paths"]["/v1/trees"]["post"]["requestBody"]["content"]) == {"application/json"}


def test_errors_have_one_shape(shapes: dict[str, Any]) -> None:
    """Errors have the shape of AIP-193, or that of RFC 9457 if Accept prefers it, with every status to expect."""
    responses = shapes["paths"]["/v1/trees"]["post"]["responses"]
    assert set(responses) == {"200", "400", "404", "409", "503", "504", "default"}
    for each in shapes["components"]["responses"].values():
        assert set(each["content"]) == {"application/json", "application/problem+json"}


def test_security_follows_the_policy(shop: dict[str, Any], torture: Contract) -> None:
    """Public methods need no token, others name their scopes; a success has the status in the contract."""
    paths = shop["paths"]
    assert paths["/v1/users"]["post"]["security"] == []
    create = paths["/v1/products"]["post"]
    assert create["security"] == [{"bearer": ["catalog.write"]}]
    assert create["description"] == "Creates a product. Staff only.\n\nRequires the scope `catalog.write`."
    assert set(create["responses"]) == {"201", "400", "401", "403", "404", "409", "503", "504", "default"}
    assert "Idempotency-Key" in names(paths["/v1/orders"]["post"], "header")
    secured = json.loads(b"".join(documents_of(torture, secured=True).pieces()))
    prune = secured["paths"]["/v1/trees/{tree}"]["patch"]
    assert prune["description"] == "Requires the scopes `trees.read`, `trees.write`."
    assert "401" not in secured["paths"]["/v1/plant"]["put"]["responses"]


def test_errors_have_examples(shop: dict[str, Any]) -> None:
    """Each error has an example in both shapes, as the edge writes it."""
    schemas = shop["components"]["schemas"]
    for status, response in shop["components"]["responses"].items():
        for shape, content in response["content"].items():
            if status == "default":
                continue
            name = content["schema"]["$ref"].rpartition("/")[2]
            assert Draft202012Validator(schemas[name]).is_valid(content["example"]), (status, shape)
    missing = shop["components"]["responses"]["404"]["content"]["application/json"]["example"]
    assert missing == {"error": {"code": 404, "message": "There is no such resource.", "status": "NOT_FOUND"}}


ONEOFS = """
syntax = "proto3";
package ships.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
service Ships {
  rpc Replace(ReplaceRequest) returns (Ship) {
    option (google.api.http) = {
      put: "/v1/{ship.name=fleets/*/ships/*}" body: "ship"
      additional_bindings {put: "/v2/{ship.name=fleets/*/ships/*}" body: "*"}
      additional_bindings {put: "/v3/ships/{ship.by_sail.masts}" body: "*"}
      additional_bindings {get: "/v4/ships/{number}"}
      additional_bindings {get: "/v5/{request_id}"}
    };
  }
  rpc Find(FindRequest) returns (Ship) { option (google.api.http) = {get: "/v1/ships"}; }
}
message ReplaceRequest {
  Ship ship = 1 [(google.api.field_behavior) = REQUIRED];
  oneof key { int32 number = 2; string title = 3; Sail sail = 4; }
  string request_id = 5;
}
message FindRequest {
  oneof key {
    option (buf.validate.oneof).required = true;
    int32 number = 1;
    string title = 2;
  }
}
message Ship {
  string name = 1 [
    (google.api.field_behavior) = REQUIRED,
    (buf.validate.field).string = {pattern: "^fleets/[a-z]+/ships/([0-9]{2}|x)$" max_len: 30}
  ];
  optional string owner = 2 [(buf.validate.field).required = true];
  oneof drive { Sail by_sail = 3; string by_steam = 4; }
}
message Sail { int32 masts = 1; }
"""


@pytest.fixture(scope="module")
def ships(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns the document of a contract whose paths hold members of oneofs and parts of required fields."""
    contract = read(compile_image(ONEOFS, tmp_path_factory.mktemp("ships")))
    made: dict[str, Any] = json.loads(b"".join(documents_of(contract).pieces()))
    return made


def test_fields_that_the_path_excludes_are_not_offered(ships: dict[str, Any]) -> None:
    """The document leaves out the other members of a oneof that the path sets, because they are always rejected."""
    masts = ships["paths"]["/v3/ships/{masts}"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(masts["properties"]["ship"]["properties"]) == {"name", "owner", "bySail"}
    assert "ship" in masts["required"], "for its name"
    numbered = names(ships["paths"]["/v4/ships/{number}"]["get"], "query")
    assert "ship.name" in numbered
    assert not {"title", "sail.masts"} & set(numbered)


def test_a_resource_is_replaced_without_the_name_in_the_path(ships: dict[str, Any]) -> None:
    """A PUT of the resource, or of the message around it, does not require the name."""
    one = ships["paths"]["/v1/fleets/{fleet}/ships/{ship}"]["put"]["requestBody"]
    assert set(one["content"]["application/json"]["schema"]["properties"]) == {"owner", "bySail", "bySteam"}
    assert one["content"]["application/json"]["schema"]["required"] == ["owner"]
    around = ships["paths"]["/v2/fleets/{fleet}/ships/{ship}"]["put"]["requestBody"]["content"]["application/json"]
    assert "name" not in around["schema"]["properties"]["ship"]["properties"]


def test_the_rules_of_a_name_hold_for_its_parts(ships: dict[str, Any]) -> None:
    """Each segment has its part of the pattern; the description states the rules of the whole."""
    put = ships["paths"]["/v1/fleets/{fleet}/ships/{ship}"]["put"]
    fleet, ship = parameter(put, "fleet"), parameter(put, "ship")
    assert fleet["schema"] == {"type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[a-z]+$"}
    assert ship["schema"]["pattern"] == "^([0-9]{2}|x)$"
    assert ship["description"] == (
        "A part of `ship.name`. The whole value must match `^fleets/[a-z]+/ships/([0-9]{2}|x)$` and be at most 30 "
        "characters."
    )


def test_a_required_field_with_presence_may_be_empty(ships: dict[str, Any]) -> None:
    """A required field with presence must be set, but may hold its zero value."""
    owner = ships["components"]["schemas"]["ships.v1.Ship-Input"]["properties"]["owner"]
    assert owner == {"type": "string"}


def test_a_oneof_that_must_be_given_is_noted(ships: dict[str, Any]) -> None:
    """A sentence states that one of two parameters is required, because no keyword can."""
    find = ships["paths"]["/v1/ships"]["get"]
    assert parameter(find, "number")["description"] == "Not together with `title`. One of them is required."


def test_the_header_of_a_request_id_promises_nothing(ships: dict[str, Any]) -> None:
    """The header sets the field if the path does not; the description leaves the effect to the contract."""
    put = parameter(ships["paths"]["/v1/fleets/{fleet}/ships/{ship}"]["put"], "Idempotency-Key")
    assert put["description"] == "Another way to set `requestId`."
    assert "Idempotency-Key" not in names(ships["paths"]["/v5/{requestId}"]["get"], "header")


@pytest.mark.parametrize(
    ("collection", "one"),
    [
        ("shelves", "shelf"),
        ("addresses", "address"),
        ("boxes", "box"),
        ("batches", "batch"),
        ("caches", "cache"),
        ("databases", "database"),
        ("policies", "policy"),
        ("archives", "archive"),
        ("statuses", "status"),
        ("bookShelves", "bookShelf"),
        ("people", "person"),
        ("news", "news"),
        ("keys", "key"),
    ],
)
def test_a_parameter_has_the_singular_of_its_collection(collection: str, one: str, tmp_path: Path) -> None:
    """The singular follows the rules of English."""
    text = f"""
    syntax = "proto3";
    package nouns.v1;
    import "google/api/annotations.proto";
    message M {{ string name = 1; }}
    service S {{
      rpc Get(M) returns (M) {{ option (google.api.http) = {{get: "/v1/{{name=a/b/{collection}/*}}"}}; }}
    }}
    """
    paths = json.loads(b"".join(documents_of(read(compile_image(text, tmp_path))).pieces()))["paths"]
    assert list(paths) == [f"/v1/a/b/{collection}/{{{one}}}"]


BODIES = """
syntax = "proto3";
package bodies.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/protobuf/any.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/timestamp.proto";
// Takes shelves/*/books.
service Bodies {
  rpc Time(google.protobuf.Timestamp) returns (google.protobuf.Empty) {
    option (google.api.http) = {post: "/v1/time" body: "*"};
  }
  rpc Choose(M) returns (M) {
    option (google.api.http) = {
      post: "/v1/choices/{name}" body: "*"
      additional_bindings {post: "/v1/choices" body: "kind"}
      additional_bindings {get: "/v1/choices/{time}/{kind}"}
    };
  }
  rpc Input(TreeInput) returns (TreeInput) { option (google.api.http) = {post: "/v1/trees" body: "*"}; }
  rpc Plant(Tree) returns (Error) { option (google.api.http) = {post: "/v2/trees" body: "*"}; }
}
message M {
  string name = 1;
  oneof choice {
    option (buf.validate.oneof).required = true;
    string a = 2;
    bool b = 3;
  }
  Kind kind = 4;
  google.protobuf.Timestamp time = 5;
  repeated google.protobuf.Any things = 6;
}
enum Kind {
  KIND_UNSPECIFIED = 0;
  KIND_ONE = 1;
}
message Tree { string leaf = 1; }
message TreeInput { string leaf = 1; }
message Error { string text = 1; }
"""


@pytest.fixture(scope="module")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Returns the document of a contract with unusual bodies and names."""
    contract = read(compile_image(BODIES, tmp_path_factory.mktemp("bodies")))
    made: dict[str, Any] = json.loads(b"".join(documents_of(contract).pieces()))
    return made


def takes(document: dict[str, Any], schema: dict[str, Any], value: Any) -> bool:
    """Returns whether a schema of a document accepts a value."""
    return bool(Draft202012Validator(schema | {"components": document["components"]}).is_valid(value))


def test_a_request_that_is_a_well_known_type_has_its_fields(bodies: dict[str, Any]) -> None:
    """A well-known type as the whole body is an object, which the edge reads field by field."""
    schema = bodies["paths"]["/v1/time"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert takes(bodies, schema, {"seconds": "5", "nanos": 1})
    assert not takes(bodies, schema, "2000-01-01T00:00:00Z")


def test_a_body_with_a_required_oneof_is_required(bodies: dict[str, Any]) -> None:
    """The body is required although none of its fields is; in a form null is not a value."""
    body = bodies["paths"]["/v1/choices/{name}"]["post"]["requestBody"]
    assert body["required"] is True
    schema = body["content"]["application/json"]["schema"]
    assert takes(bodies, schema, {"a": "x", "b": None})
    assert not takes(bodies, schema, {})


def test_a_scalar_as_body_has_no_type_for_generators(bodies: dict[str, Any]) -> None:
    """Only validators see the types of the scalar."""
    schema = bodies["paths"]["/v1/choices"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "type" not in schema
    assert "anyOf" not in schema
    assert takes(bodies, schema, "KIND_ONE")
    assert not takes(bodies, schema, "KIND_TWO")


def test_enums_in_urls_are_strings(bodies: dict[str, Any]) -> None:
    """Enums are names or numbers as strings; a time is a string with a format."""
    get = bodies["paths"]["/v1/choices/{time}/{kind}"]["get"]
    kind = parameter(get, "kind")["schema"]
    assert [takes(bodies, kind, value) for value in ("KIND_ONE", "7", "-1", "one")] == [True, True, True, False]
    assert parameter(get, "time")["schema"] == {"type": "string", "format": "date-time"}
    assert "things" not in names(get, "query"), "several values of JSON have no form in a query"


def test_no_two_schemas_become_one_class(bodies: dict[str, Any]) -> None:
    """Names that differ only in dots and dashes would be the same class in generated code."""
    schemas = bodies["components"]["schemas"]
    assert {"bodies.v1.TreeInput", "bodies.v1.Tree-Input-2"} <= set(schemas)
    classes = ["".join(filter(str.isalnum, name)).lower() for name in schemas]
    assert len(classes) == len(set(classes))


def test_texts_end_no_comment(bodies: dict[str, Any]) -> None:
    """Generators of Go and TypeScript copy texts into comments without escaping them."""
    assert bodies["tags"][0]["description"] == "Takes shelves/*\\/books."
