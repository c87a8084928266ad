"""Samples of request bodies: what the pages show can be sent as it is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge.contract.contract import Contract, read
from tests.edge.backend import backend_of
from tests.edge.contracts import compile_image
from tests.edge.openapi.contracts import documents_of
from tests.edge.served import edge_of

SHIPS = """
syntax = "proto3";
package ships.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/wrappers.proto";

service Ships {
  rpc Create(CreateRequest) returns (Ship) { option (google.api.http) = {post: "/v1/ships" body: "ship"}; }
  rpc Sink(SinkRequest) returns (Ship) { option (google.api.http) = {post: "/v1/{name=ships/*}:sink" body: "*"}; }
  rpc Guess(GuessRequest) returns (Ship) { option (google.api.http) = {post: "/v1/ships:guess" body: "*"}; }
  rpc Load(stream SinkRequest) returns (Ship) { option (google.api.http) = {post: "/v1/ships:load" body: "*"}; }
  rpc Weigh(Weight) returns (Ship) { option (google.api.http) = {post: "/v1/ships:weigh" body: "tons"}; }
}
message Ship {
  string name = 1 [(google.api.field_behavior) = IDENTIFIER];
  string uid = 2 [(google.api.field_behavior) = OUTPUT_ONLY];
  string title = 3 [(google.api.field_behavior) = REQUIRED];
  string notes = 4;
  string port = 5 [(buf.validate.field).string.example = "Hull"];
  oneof drive {
    int64 sails = 6 [(google.api.field_behavior) = REQUIRED];
    int32 horses = 7 [(google.api.field_behavior) = REQUIRED];
  }
  repeated Mast masts = 8 [(google.api.field_behavior) = REQUIRED];
  Kind kind = 9 [(google.api.field_behavior) = REQUIRED];
  string etag = 10 [(buf.validate.field).string.example = "1"];
}
message Mast { int32 metres = 1 [(buf.validate.field).int32 = {gte: 5}, (google.api.field_behavior) = REQUIRED]; }
enum Kind { KIND_UNSPECIFIED = 0; KIND_BRIG = 1; }
message CreateRequest { Ship ship = 1; string request_id = 2 [(buf.validate.field).string.uuid = true]; }
message SinkRequest {
  string name = 1 [(buf.validate.field).string.pattern = "^ships/.+$"];
  oneof why { bool storm = 2; bool mutiny = 3; }
}
message GuessRequest {
  string word = 1 [(buf.validate.field).required = true, (buf.validate.field).cel = {
    id: "word" message: "must be the word" expression: "this == 'sesame'"
  }];
}
message Weight { google.protobuf.Int32Value tons = 1 [(buf.validate.field).int32.gte = 100]; }
"""


def operations_of(contract: Contract) -> dict[str, dict[str, Any]]:
    """Returns the operations of a document by path, then by HTTP method."""
    paths: dict[str, dict[str, Any]] = json.loads(b"".join(documents_of(contract).pieces()))["paths"]
    return paths


def samples_of(contract: Contract) -> dict[str, dict[str, Any]]:
    """Returns the JSON samples of a document by path, then by HTTP method."""
    return {
        path: {
            method: operation["requestBody"]["content"]["application/json"].get("example")
            for method, operation in item.items()
            if "application/json" in operation.get("requestBody", {}).get("content", {})
        }
        for path, item in operations_of(contract).items()
    }


@pytest.fixture
def ships(tmp_path: Path) -> dict[str, Any]:
    """Returns the samples of POST in a contract of ships."""
    samples = samples_of(read(compile_image(SHIPS, tmp_path)))
    return {path: item["post"] for path, item in samples.items()}


def test_a_sample_has_the_required_fields_and_those_with_an_example(ships: dict[str, Any]) -> None:
    """A sample leaves out fields that the service chooses or that differ in each call, and other members of a oneof."""
    assert ships["/v1/ships"] == {
        "title": "example",
        "port": "Hull",
        "sails": "1",
        "masts": [{"metres": 5}],
        "kind": "KIND_BRIG",
    }


def test_a_sample_of_optional_fields_has_all_that_go_together(ships: dict[str, Any]) -> None:
    """A sample has one member of a oneof, and no field that the path holds."""
    assert ships["/v1/ships/{ship}:sink"] == {"storm": True}


def test_a_scalar_body_has_a_sample(ships: dict[str, Any]) -> None:
    """A sample of a scalar body follows the rules of the request's field."""
    assert ships["/v1/ships:weigh"] == 100


def test_a_stream_has_a_sample_of_one_message(ships: dict[str, Any]) -> None:
    """The array that describes the stream has one element."""
    [message] = ships["/v1/ships:load"]
    assert message["name"].startswith("ships/")


def test_what_no_sample_satisfies_has_none(ships: dict[str, Any]) -> None:
    """A rule in CEL that no guess fulfils leaves the body without a sample, rather than with a wrong one."""
    assert ships["/v1/ships:guess"] is None


def required_queries_of(contract: Contract) -> dict[str, dict[str, Any]]:
    """Returns the samples of required query parameters by path, then by HTTP method."""
    return {
        path: {
            method: {
                each["name"]: each["schema"]["examples"][0] for each in operation["parameters"] if is_required(each)
            }
            for method, operation in item.items()
            if "requestBody" in operation and "parameters" in operation
        }
        for path, item in operations_of(contract).items()
    }


def is_required(parameter: dict[str, Any]) -> bool:
    """Returns whether a parameter is one of the query that a call must have."""
    return parameter.get("in") == "query" and bool(parameter.get("required"))


async def test_the_edge_accepts_every_sample_of_the_store(store: Contract) -> None:
    """Each body has a sample, and neither it nor that of a parameter breaks a rule of the contract."""
    sent = 0
    queries = required_queries_of(store)
    async with backend_of(store.registry) as backend, edge_of(store, backend.port) as edge:
        for path, item in samples_of(store).items():
            for method, sample in item.items():
                url = re.sub(r"\{\w+\}", "f81d4fae-7dec-41d0-a765-00a0c91e6bf6", path)
                response = await edge.request(method, url, params=queries[path].get(method, {}), json=sample)
                assert sample is not None, path
                assert response.status_code != 400, (path, response.text)
                sent += 1
        wrong = samples_of(store)["/v1/products"]["post"] | {"price": {"currencyCode": "string"}}
        assert (await edge.post("/v1/products", json=wrong)).status_code == 400
    assert sent >= 10
