"""Update masks: names of fields are those of clients, keys of maps are data."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.bind import update_mask
from edge.contract.contract import Contract, read
from edge.protojson.well_known import to_snake_case
from tests.edge.backend import Backend, backend_of
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of

JSON = {"content-type": "application/json"}
CONTRACT = """
syntax = "proto3";
package masks.v1;

import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";

service Masks {
  rpc Update(UpdateRequest) returns (Thing) {
    option (google.api.http) = {
      patch: "/v1/{thing.name=things/*}" body: "thing"
      additional_bindings {patch: "/v2/{thing.name=things/*}" body: "*"}
    };
  }
  rpc Read(ReadRequest) returns (Thing) {
    option (google.api.http) = {get: "/v1/thing"};
  }
  rpc List(ListRequest) returns (ListResponse) {
    option (google.api.http) = {get: "/v1/things" additional_bindings {post: "/v1/things:search" body: "*"}};
  }
}
message Thing {
  string name = 1;
  string first_name = 2;
  map<string, string> labels = 3;
  map<string, Part> parts_by_id = 4;
  repeated Part all_parts = 5;
  google.protobuf.Struct free_form = 6;
  Part main_part = 7;
  google.protobuf.Timestamp read_time = 8;
  Thing original = 9;
}
message Part {
  int32 part_size = 1;
  map<string, Part> inner_parts = 2;
  google.protobuf.Value any_value = 3;
}
message UpdateRequest {
  Thing thing = 1;
  google.protobuf.FieldMask update_mask = 2 [(buf.validate.field).cel = {
    id: "no.name" message: "can't be the name" expression: "this.paths.all(path, path != 'name')"
  }];
}
message ListRequest {
  google.protobuf.FieldMask read_mask = 1;
}
message ListResponse {
  repeated Thing all_things = 1;
  string next_page_token = 2;
}
message ReadRequest {
  google.protobuf.FieldMask read_mask = 1 [(buf.validate.field).field_mask.in = "first_name"];
}
"""


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """Returns the contract above."""
    return read(compile_image(CONTRACT, tmp_path_factory.mktemp("masks")))


@pytest.fixture(scope="module")
async def things(contract: Contract) -> AsyncIterator[Backend]:
    """Returns a backend that answers with an empty message."""
    async with backend_of(contract.registry) as backend:
        backend.replies(backend.message("masks.v1.Thing"))
        yield backend


@pytest.fixture(scope="module")
async def edge(contract: Contract, things: Backend) -> AsyncIterator[Client]:
    """Returns a client of an edge with this contract."""
    async with edge_of(contract, things.port) as client:
        yield client


def received_paths(things: Backend, request: str = "UpdateRequest", field: str = "update_mask") -> list[str]:
    """Returns the paths of the mask that reached the backend."""
    desc: Any = things.registry.message(f"masks.v1.{request}")
    mask = getattr(desc.type.from_binary(things.calls[-1].request), field)
    return list(mask.paths) if mask is not None else []


@pytest.mark.parametrize(
    ("given", "declared"),
    [
        ("firstName", "first_name"),
        ("first_name", "first_name"),
        ("labels.fooBar", "labels.fooBar"),
        ("labels.foo_bar", "labels.foo_bar"),
        ("labels.`fooBar`", "labels.`fooBar`"),
        ("labels.`a.firstName`", "labels.`a.firstName`"),
        ("labels.firstName", "labels.firstName"),
        ("partsById.fooBar.partSize", "parts_by_id.fooBar.part_size"),
        ("parts_by_id.`foo.Bar`.innerParts.partSize.partSize", "parts_by_id.`foo.Bar`.inner_parts.partSize.part_size"),
        ("allParts.*.partSize", "all_parts.*.part_size"),
        ("freeForm.fooBar.bazQux", "free_form.fooBar.bazQux"),
        ("mainPart.anyValue.fooBar", "main_part.any_value.fooBar"),
        ("noField.fooBar", "no_field.foo_bar"),
        ("mainPart.noField", "main_part.no_field"),
        ("*", "*"),
    ],
)
async def test_only_the_names_of_fields_are_translated(
    edge: Client, things: Backend, given: str, declared: str
) -> None:
    """A mask in the query, in JSON and in a form has the names of the contract, and the keys that the client wrote."""
    for response in (
        await edge.patch("/v1/things/1", params={"updateMask": f"labels,{given}"}, json={}),
        await edge.patch("/v1/things/1", params={"update_mask.paths": ["labels", given]}, json={}),
        await edge.patch("/v2/things/1", json={"thing": {}, "updateMask": f"labels,{given}"}),
        await edge.patch("/v2/things/1", data={"updateMask": f"labels,{given}"}),
    ):
        assert (response.status_code, received_paths(things)) == (200, ["labels", declared]), response.text


@pytest.mark.parametrize(
    ("given", "declared"),
    [
        ("labels.fooBar", "labels.fooBar"),
        ("labels.foo_bar", "labels.foo_bar"),
        ("firstName", "first_name"),
        ("partsById.fooBar.partSize", "parts_by_id.fooBar.part_size"),
        ("allThings.*.labels.fooBar", "all_things.*.labels.fooBar"),
        ("nextPageToken", "next_page_token"),
        ("noField.fooBar", "no_field.foo_bar"),
        ("*", "*"),
    ],
)
async def test_the_mask_of_a_read_is_translated_in_the_response(
    edge: Client, things: Backend, given: str, declared: str
) -> None:
    """A read mask (AIP-157) may apply to the response, or to the resources in it, and keeps the keys of maps."""
    things.replies(things.message("masks.v1.ListResponse"))
    for response in (
        await edge.get("/v1/things", params={"readMask": f"{given},name"}),
        await edge.post("/v1/things:search", json={"readMask": f"{given},name"}),
    ):
        assert response.status_code == 200, response.text
        assert received_paths(things, "ListRequest", "read_mask") == [declared, "name"]
    things.replies(things.message("masks.v1.Thing"))


async def test_a_path_costs_the_same_in_a_message_with_many_fields(
    edge: Client, things: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names of a message's fields are converted once, and not again for each of the thousands of paths."""
    converted: list[str] = []

    def counting(path: str) -> str:
        converted.append(path)
        return to_snake_case(path)

    monkeypatch.setattr(update_mask, "to_snake_case", counting)
    things.replies(things.message("masks.v1.ListResponse"))
    mask = ",".join(["readTime"] * 5_000)
    assert (await edge.post("/v1/things:search", json={"readMask": mask})).status_code == 200
    assert received_paths(things, "ListRequest", "read_mask") == ["read_time"] * 5_000
    assert len(converted) <= 2 * 5_000 + 100
    things.replies(things.message("masks.v1.Thing"))


@pytest.mark.parametrize(
    ("form", "paths"),
    [
        ({"thing.mainPart.partSize": "0"}, ["main_part.part_size"]),
        ({"thing.first_name": ""}, ["first_name"]),
        ({"thing.labels[fooBar]": "x", "thing.labels[b]": "y"}, ["labels"]),
        ({"thing.freeForm": '{"a": 1}', "thing.mainPart.anyValue": "null"}, ["free_form", "main_part.any_value"]),
        ({"thing.readTime.seconds": "5", "thing.readTime.nanos": "6"}, ["read_time"]),
        ({"thing.readTime": "2026-01-31T09:30:00Z"}, ["read_time"]),
        ({"updateMask": "labels", "thing.firstName": "x"}, ["labels"]),
        ({}, []),
    ],
)
async def test_a_form_has_the_mask_of_its_fields(
    edge: Client, things: Backend, form: dict[str, str], paths: list[str]
) -> None:
    """A form without a mask updates the fields that it contains, also those with default values, as JSON does."""
    response = await edge.patch("/v2/things/1", data=form)
    assert (response.status_code, received_paths(things)) == (200, paths), response.text


async def test_only_the_field_in_the_path_is_no_update(edge: Client, things: Backend) -> None:
    """The mask has the same field of the same message elsewhere in the resource, which would be lost without it."""
    thing = {"name": "things/1", "firstName": "a", "original": {"name": "things/2", "firstName": "b"}}
    for url, body in (("/v1/things/1", thing), ("/v2/things/1", {"thing": thing})):
        response = await edge.patch(url, json=body)
        assert response.status_code == 200, response.text
        assert received_paths(things) == ["first_name", "original.name", "original.first_name"]


async def test_an_update_that_is_nested_too_deeply_is_rejected(edge: Client) -> None:
    """The paths of its mask are not looked for at any depth, which ended in an internal error."""
    body = '{"original":' * 490 + "{}" + "}" * 490
    wrong = await edge.violations("PATCH", "/v1/things/1", content=body, headers=JSON)
    assert list(wrong.values()) == ["NESTED_TOO_DEEPLY"]


async def test_an_invalid_form_has_no_mask(edge: Client) -> None:
    """Fields that contradict each other or that nobody knows are violations as in other forms."""
    form = {"thing.readTime": "2026-01-31T09:30:00Z", "thing.readTime.seconds": "5", "thing.nope": "1"}
    assert await edge.violations("PATCH", "/v2/things/1", data=form) == {
        "thing.readTime.seconds": "FIELD_GIVEN_TWICE",
        "thing.nope": "FIELD_UNKNOWN",
    }


@pytest.mark.parametrize("mask", [7, ["labels"], {"paths": []}, "labels.", "labels,,name", "labels.`a", "a b"])
async def test_an_invalid_mask_is_rejected(edge: Client, mask: object) -> None:
    """A mask in a body is a string of paths."""
    wrong = await edge.violations("PATCH", "/v2/things/1", json={"thing": {}, "updateMask": mask})
    assert list(wrong) == ["updateMask"]


@pytest.mark.parametrize("path", ["", ".", "..", "a b", "`a", "labels."])
async def test_an_invalid_path_in_the_query_is_rejected(edge: Client, path: str) -> None:
    """A path of an update or a read is rejected in the query as in a body, also one without any name."""
    for method, url, key in (("PATCH", "/v1/things/1", "updateMask.paths"), ("GET", "/v1/things", "readMask.paths")):
        assert await edge.violations(method, url, params={key: path}, json={}) == {key: "OUT_OF_RANGE"}


async def test_the_document_allows_every_mask_that_is_accepted(edge: Client) -> None:
    """The schemas of masks in the query and in a body allow snake_case, and keys with underscores."""
    document = (await edge.get("/openapi.json")).json()
    in_query = document["paths"]["/v1/things/{thing}"]["patch"]["parameters"][1]["schema"]
    body = document["paths"]["/v2/things/{thing}"]["patch"]["requestBody"]["content"]["application/json"]["schema"]
    for schema in (in_query, body["properties"]["updateMask"]):
        assert re.search(schema["pattern"], "first_name,labels.`foo_bar`,labels.foo_bar")


async def test_rules_see_the_names_of_the_contract(edge: Client) -> None:
    """Validation rules of masks apply to the names of the contract, also of a mask that updates nothing."""
    assert await edge.violations("PATCH", "/v1/things/1?updateMask=labels,name", json={}) == {"updateMask": "NO_NAME"}
    assert (await edge.get("/v1/thing?readMask=firstName")).status_code == 200
    assert list(await edge.violations("GET", "/v1/thing?readMask=labels")) == ["readMask"]
