"""Field names that clash or contain separators, everywhere a client can use them."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.contract.contract import Contract, read
from edge.protojson.fields import find_by_proto_name
from tests.edge.backend import Backend, backend_of
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of

# The JSON names are rotated: `a` is "b", `b` is "c", and `c` is "a", so each is another field's proto name.
CONTRACT = """
syntax = "proto3";
package names.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/timestamp.proto";
service Names {
  rpc Get(Thing) returns (Thing) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {
      get: "/v1/get" additional_bindings {post: "/v1/get" body: "*"} additional_bindings {get: "/v1/b/{b}"}
    };
  }
  rpc List(ListRequest) returns (ListResponse) {
    option (google.api.http) = {get: "/v1/list"};
  }
  rpc Update(UpdateRequest) returns (UpdateRequest) {
    option (google.api.http) = {
      patch: "/v1/{thing.a=things/*}" body: "thing" additional_bindings {patch: "/v2/things" body: "*"}
    };
  }
}
message Thing {
  string a = 1 [json_name = "b", (buf.validate.field).string.max_len = 20];
  string b = 2 [json_name = "c", (buf.validate.field).string.max_len = 20];
  string c = 3 [json_name = "a", (buf.validate.field).string.max_len = 20];
  string dotted = 4 [json_name = "d.e"];
  D d = 5;
  string bracketed = 6 [json_name = "x[y]"];
  map<string, string> labels = 7 [json_name = "l.m"];
  string typed = 8 [json_name = "@type"];
  string dollar = 9 [json_name = "$alt"];
  string spaced = 10 [json_name = "two words"];
  string foreign = 11 [json_name = "größe"];
  D nested = 12 [json_name = "n/o"];
  string x_1 = 13;
  string request_id = 14 [json_name = "token"];
  string other = 15 [json_name = "request_id"];
}
message D {
  string e = 1;
  string f_2 = 2;
}
message ListRequest {
  string page_token = 1 [json_name = "next page"];
  string filter = 2 [json_name = "page_token"];
}
message ListResponse {
  string next_page_token = 1 [json_name = "filter"];
  string filter = 2 [json_name = "nextPageToken"];
}
message UpdateRequest {
  Thing thing = 1 [json_name = "update_mask"];
  google.protobuf.FieldMask update_mask = 2 [json_name = "thing"];
  string etag = 3 [json_name = "version"];
  string version = 4 [json_name = "etag"];
}
"""
THING, UPDATE = "names.v1.Thing", "names.v1.UpdateRequest"


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """Returns the contract above."""
    return read(compile_image(CONTRACT, tmp_path_factory.mktemp("names")))


@pytest.fixture(scope="module")
async def names_backend(contract: Contract) -> AsyncIterator[Backend]:
    """Starts a backend that echoes requests."""
    async with backend_of(contract.registry) as backend:
        yield backend


@pytest.fixture(scope="module")
async def names(contract: Contract, names_backend: Backend) -> AsyncIterator[Client]:
    """Starts an edge with this contract and returns its client."""
    async with edge_of(contract, names_backend.port) as client:
        yield client


async def test_fields_with_one_json_name_are_both_written(tmp_path: Path) -> None:
    """proto2 allows equal JSON names: one field is written by it, the other by its proto name."""
    text = """
    syntax = "proto2";
    package two.v1;
    import "google/api/annotations.proto";
    service Two { rpc Call(M) returns (M) { option (google.api.http) = {post: "/v1/x" body: "*"}; } }
    message M { optional string foo_bar = 1; optional string fooBar = 2; optional string foo__bar = 3; }
    """
    contract = read(compile_image(text, tmp_path))
    assert [each.why for each in contract.problems] == [
        f"{name} and fooBar are both 'fooBar' in JSON: it means fooBar; {name} keeps its name"
        for name in ("foo_bar", "foo__bar")
    ]
    body = {"foo_bar": "1", "fooBar": "2", "foo__bar": "3"}
    async with backend_of(contract.registry) as backend, edge_of(contract, backend.port) as edge:
        assert (await edge.post("/v1/x", json=body)).json() == body
        assert received(backend, "two.v1.M") == body


def received(backend: Backend, type_name: str = THING) -> dict[str, Any]:
    """Returns the last request by proto names."""
    desc = backend.registry.message(type_name)
    assert desc is not None
    text = desc.type.from_binary(backend.calls[-1].request).to_json(use_proto_field_name=True)
    return dict(json.loads(text))


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("a", {"c": "1"}),
        ("b", {"a": "1"}),
        ("c", {"b": "1"}),
        ("d.e", {"dotted": "1"}),
        ("dotted", {"dotted": "1"}),
        ("d.f2", {"d": {"f_2": "1"}}),
        ("x[y]", {"bracketed": "1"}),
        ("l.m[k]", {"labels": {"k": "1"}}),
        ("l.m[a.b[c]]", {"labels": {"a.b[c]": "1"}}),
        ("labels[]", {"labels": {"": "1"}}),
        ("@type", {"typed": "1"}),
        ("$alt", {"dollar": "1"}),
        ("two words", {"spaced": "1"}),
        ("größe", {"foreign": "1"}),
        ("n/o.e", {"nested": {"e": "1"}}),
        ("nested.f_2", {"nested": {"f_2": "1"}}),
        ("x1", {"x_1": "1"}),
        ("request_id", {"other": "1"}),
    ],
)
async def test_a_json_name_may_hold_any_characters(
    names: Client, names_backend: Backend, key: str, field: dict[str, Any]
) -> None:
    """JSON names of any characters work in queries and forms, and take precedence over proto names."""
    response = await names.get("/v1/get", params={key: "1"})
    assert (response.status_code, received(names_backend)) == (200, field), response.text
    assert (await names.post("/v1/get", data={key: "1"})).status_code == 200
    assert received(names_backend) == field


@pytest.mark.parametrize("key", ["d.e.", "x[y", "x", "[]", "[y]", "l.m", "l.m[k", "x[y][k]", "", ".", "d.", "d.e.f"])
async def test_a_key_that_only_begins_like_a_name_is_unknown(names: Client, key: str) -> None:
    """A key with an unknown suffix is an unknown field, reported in the client's spelling."""
    assert await names.violations("GET", f"/v1/get?{key}=1") == {key: "FIELD_UNKNOWN"}


async def test_json_names_go_first_in_bodies_masks_and_trimmed_answers(names: Client, names_backend: Backend) -> None:
    """JSON names take precedence as in google.protobuf.json_format, and responses use the same spelling."""
    thing = {"a": "is c", "b": "is a", "c": "is b"}
    response = await names.post("/v1/get", json=thing)
    assert (response.json(), received(names_backend)) == (thing, {"a": "is a", "b": "is b", "c": "is c"})
    trimmed = await names.get("/v1/get", params={"b": "1", "d.e": "2", "d.f2": "3", "$fields": "b,`d.e`,d(f2)"})
    assert trimmed.json() == {"b": "1", "d.e": "2", "d": {"f2": "3"}}


async def test_violations_use_the_spelling_of_the_client(names: Client) -> None:
    """A validation rule reports the proto name, and the client sees the JSON name that it sent."""
    long = "x" * 21
    for body, field in (({"a": long}, "a"), ({"b": long}, "b"), ({"c": long}, "c")):
        assert list(await names.violations("POST", "/v1/get", json=body)) == [field]
        assert list(await names.violations("GET", f"/v1/get?{field}={long}")) == [field]
    assert list(await names.violations("GET", "/v1/b/1?b=1&c=2")) == ["c"]


async def test_an_implied_mask_holds_the_fields_that_were_sent(names: Client, names_backend: Backend) -> None:
    """The mask has proto names, and omits the field that the path sets."""
    await names.patch("/v1/things/1", json={"a": "x", "c": "y", "d": {"f2": "z"}, "x1": ""})
    expected = ["c", "b", "d.f_2", "x_1"]
    mask = declared_mask(names_backend)
    assert (received_thing(names_backend)["a"], mask) == ("things/1", expected)
    response = await names.patch("/v2/things", json={"update_mask": {"a": "x", "d.e": "y"}})
    assert (response.status_code, declared_mask(names_backend)) == (200, ["c", "dotted"])


@pytest.mark.parametrize(
    ("given", "paths"),
    [
        ("b", ["a"]),
        ("c,a", ["b", "c"]),
        ("x1,d.f2", ["x_1", "d.f_2"]),
        ("dotted,nested.e,l.m", ["dotted", "nested.e", "l.m"]),
        ("labels.k", ["labels.k"]),
        ("*", ["*"]),
    ],
)
async def test_a_given_mask_is_read_by_json_names(
    names: Client, names_backend: Backend, given: str, paths: list[str]
) -> None:
    """A given mask is read by JSON names; a path of an unknown field is passed on for the service to reject."""
    response = await names.patch(f"/v1/things/1?thing={given}", json={})
    assert (response.status_code, declared_mask(names_backend)) == (200, paths), response.text


async def test_headers_fill_the_fields_that_the_contract_declares(names: Client, names_backend: Backend) -> None:
    """Headers fill the fields with these proto names, not those with equal JSON names."""
    await names.get("/v1/get", headers={"idempotency-key": "k"})
    assert received(names_backend) == {"request_id": "k"}
    await names.patch("/v2/things", json={}, headers={"if-match": '"t"'})
    desc = names_backend.registry.message(UPDATE)
    assert desc is not None
    message = desc.type.from_binary(names_backend.calls[-1].request)
    assert (message[_field(desc, "etag")], message[_field(desc, "version")]) == ("t", "")


async def test_a_link_to_the_next_page_keeps_the_other_parameters(names: Client, names_backend: Backend) -> None:
    """The page token is the field with that proto name, and the link keeps the other parameters."""
    assert "link" not in (await names.get("/v1/list?page_token=f")).headers  # it is the filter
    response = await names.get("/v1/list?page_token=f&next%20page=a b")
    assert response.headers["link"] == '</v1/list?page_token=f&next+page=a+b>; rel="next"'


async def test_every_documented_parameter_is_accepted(names: Client) -> None:
    """The edge accepts each parameter under the name in the OpenAPI document."""
    document = (await names.get("/openapi.json")).json()
    parameters = document["paths"]["/v1/get"]["get"]["parameters"]
    keys = [each["name"] for each in parameters if each.get("in") == "query"]
    assert {"a", "b", "c", "d.e", "x[y]", "l.m", "@type", "$alt", "two words", "größe", "n/o.f2"} <= set(keys)
    for key in keys:
        response = await names.get("/v1/get", params={f"{key}[k]" if key == "l.m" else key: "1"})
        assert response.status_code == 200, response.text


def _field(desc: Any, name: str) -> Any:
    field = find_by_proto_name(desc, name)
    assert field is not None
    return field


def declared_mask(backend: Backend) -> list[str]:
    """Returns the paths of the mask that reached the backend."""
    desc: Any = backend.registry.message(UPDATE)
    message = desc.type.from_binary(backend.calls[-1].request)
    return list(message[_field(desc, "update_mask")].paths)


def received_thing(backend: Backend) -> Any:
    """Returns the resource that reached the backend, by proto names."""
    desc: Any = backend.registry.message(UPDATE)
    thing = desc.type.from_binary(backend.calls[-1].request)[_field(desc, "thing")]
    return json.loads(thing.to_json(use_proto_field_name=True))
