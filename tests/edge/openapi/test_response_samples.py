"""Samples of responses: what the pages show is what a service could answer."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from googleapis.google.api.field_behavior_pb import FieldBehavior
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped] # has no stubs
from protobuf import DescMessage

from edge.contract.contract import Contract, read
from edge.contract.http_body import returns_http_body
from edge.contract.route import Route
from edge.openapi.document import Documents
from edge.openapi.paths import Paths
from edge.openapi.samples.response_samples import LINES_MAX
from edge.openapi.schemas.field_behavior import behaviors
from edge.protojson.fields import find_by_proto_name
from edge.reply.response_writer import JsonStyle
from mesh.validation import Validator
from tests.edge.backend import Context, backend_of
from tests.edge.contracts import compile_image
from tests.edge.openapi.contracts import OLD, TORTURE, documents_of
from tests.edge.served import edge_of
from tests.generators.contract import EVERYTHING

JSON: Final = "application/json"
UUID: Final = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
TIME: Final = "2026-01-31T12:00:00Z"
STORE: Final = Path(__file__).resolve().parents[3] / "gen" / "contracts.binpb"
LINES_OVER_MAX: Final = 10
"""The lines that the last field of a sample, and the braces around it, may add to LINES_MAX."""

SHIPS: Final = """
syntax = "proto3";
package ships.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/any.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/timestamp.proto";

service Ships {
  rpc Get(GetRequest) returns (Ship) { option (google.api.http) = {get: "/v1/ships"}; }
  rpc Sink(SinkRequest) returns (Ship) { option (google.api.http) = {post: "/v1/ships:sink" body: "*"}; }
  rpc List(GetRequest) returns (ListResponse) { option (google.api.http) = {get: "/v1/ships:list"}; }
  rpc Guess(GetRequest) returns (Riddle) { option (google.api.http) = {get: "/v1/ships:guess"}; }
  rpc Open(GetRequest) returns (google.protobuf.Any) { option (google.api.http) = {get: "/v1/ships:open"}; }
  rpc Delete(GetRequest) returns (google.protobuf.Empty) { option (google.api.http) = {delete: "/v1/ships"}; }
  rpc Watch(GetRequest) returns (stream WatchResponse) { option (google.api.http) = {get: "/v1/ships:watch"}; }
}
message GetRequest {}
message SinkRequest {
  Wreck wreck = 1 [(google.api.field_behavior) = REQUIRED];
  string captain = 2 [(buf.validate.field).string.example = "Ahab"];
}
message ListResponse { repeated Ship ships = 1; string next_page_token = 2; }
message WatchResponse { Ship ship = 1; string resume_token = 2; }
message Riddle {
  string word = 1 [(buf.validate.field).required = true, (buf.validate.field).cel = {
    id: "word" message: "must be the word" expression: "this == 'sesame'"
  }];
}
message Wreck { int32 metres = 1 [(buf.validate.field).int32 = {gte: 5}]; string diver = 2; }
message Ship {
  option (buf.validate.message).oneof = {fields: ["pilot", "wheel"]};
  // Identifier. The resource name, in the form "fleets/{fleet}/ships/{uid}".
  string name = 1 [(google.api.field_behavior) = IDENTIFIER];
  // Output only. A UUID.
  string uid = 2 [(google.api.field_behavior) = OUTPUT_ONLY];
  string title = 3 [(google.api.field_behavior) = REQUIRED, (buf.validate.field).string.example = "Pequod"];
  string code = 4 [(google.api.field_behavior) = INPUT_ONLY, (buf.validate.field).required = true];
  string rig = 5 [deprecated = true];
  google.protobuf.Timestamp launch_time = 6 [(google.api.field_behavior) = OUTPUT_ONLY];
  // The wreck. Absent until the ship is sunk.
  Wreck wreck = 7;
  Ship tender = 8;
  repeated Ship escorts = 9;
  optional string motto = 10 [(buf.validate.field).cel = {
    id: "motto" message: "must be the motto" expression: "this == 'sesame'"
  }];
  string captain = 11;
  oneof drive { int64 sails = 12; int32 horses = 13; }
  Kind kind = 14;
  map<int32, bool> decks = 15;
  string pilot = 16;
  bool wheel = 17;
  google.protobuf.Timestamp end_time = 18;
  string home_url = 19;
}
enum Kind { KIND_UNSPECIFIED = 0; KIND_BARGE = 1 [deprecated = true]; KIND_WHALER = 2; }
"""
SHIP: Final[dict[str, Any]] = {
    "name": f"fleets/my-fleet/ships/{UUID}",
    "uid": UUID,
    "title": "Pequod",
    "launchTime": TIME,
    "captain": "example",
    "sails": "1",
    "kind": "KIND_WHALER",
    "decks": {"0": True},
    "pilot": "example",
    "endTime": "2026-01-31T13:00:00Z",
    "homeUrl": "https://www.example.com/",
}


@pytest.fixture(scope="module")
def ships(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """Returns a contract of ships."""
    return read(compile_image(SHIPS, tmp_path_factory.mktemp("ships")))


@pytest.fixture(scope="module", params=["store", "torture", "everything", "proto2"])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> FileDescriptorSet:
    """Returns each image whose samples are checked."""
    if request.param == "store":
        return FileDescriptorSet.FromString(STORE.read_bytes())
    texts = {"torture": TORTURE, "everything": EVERYTHING, "proto2": OLD}
    return compile_image(texts[request.param], tmp_path_factory.mktemp(request.param))


def contents_of(contract: Contract, documents: Documents) -> Iterator[tuple[Route, dict[str, Any]]]:
    """Yields each route that answers in JSON, with the content of its successful response."""
    made = json.loads(b"".join(documents.pieces()))
    paths = Paths()
    for route in contract.routes:
        item = made["paths"][paths.of(route).text]
        operation = {**item, **item.get("x-additionalOperations", {})}
        method = route.http_method if route.http_method in operation else route.http_method.lower()
        response = operation[method]["responses"][str(route.method.policy.http_status)]
        if JSON in response.get("content", {}):
            yield route, {**response["content"], "components": made["components"]}


def samples_of(contract: Contract) -> dict[str, Any]:
    """Returns the samples of the responses by the names of the methods."""
    contents = contents_of(contract, documents_of(contract))
    return {route.method.desc.name: content[JSON].get("example") for route, content in contents}


def messages_of(route: Route, content: dict[str, Any]) -> list[Any]:
    """Returns the JSON of the messages in a sample; a sample that is a part of a message stands in one."""
    if "example" not in content[JSON]:
        return []
    sample = content[JSON]["example"]
    if route.method.desc.method_kind in ("server_streaming", "bidi_streaming"):
        return list(sample)
    return [sample if route.response_body is None else {route.response_body.json_name: sample}]


def is_input_only(message: DescMessage, path: str) -> bool:
    """Returns whether a field at the path of a violation is in requests only."""
    at: Any = message
    for name in path.split("."):
        field = find_by_proto_name(at, name.partition("[")[0])
        if field is None:
            return False
        if FieldBehavior.INPUT_ONLY in behaviors(field):
            return True
        at = getattr(field.value, "message", None) or getattr(field.value, "element", None)
    return False


def test_samples_satisfy_their_schemas(image: FileDescriptorSet) -> None:
    """Every sample is valid by the schema beside it, with the formats of its strings."""
    contract = read(image)
    checked = 0
    for route, content in contents_of(contract, documents_of(contract)):
        for media_type in content.keys() & {JSON, "application/x-ndjson", "text/event-stream"}:
            if "example" in content[media_type]:
                schema = {**content[media_type]["schema"], "components": content["components"]}
                validator = Draft202012Validator(schema, format_checker=FormatChecker())
                errors = [error.message for error in validator.iter_errors(content[media_type]["example"])]
                assert errors == [], (route.method.name, media_type)
                checked += 1
    assert checked > 0


def test_samples_are_messages_that_satisfy_the_rules(image: FileDescriptorSet) -> None:
    """Google's library reads every sample as the response's type, and no field of it breaks a rule."""
    contract, pool, validator = read(image), DescriptorPool(), Validator()
    for file in image.file:
        pool.Add(file)
    for route, content in contents_of(contract, documents_of(contract)):
        output = route.method.desc.output
        for sample in messages_of(route, content):
            made = GetMessageClass(pool.FindMessageTypeByName(output.type_name))()
            json_format.Parse(json.dumps(sample), made, descriptor_pool=pool)
            violations = validator.violations(output.type.from_binary(made.SerializeToString(deterministic=True)))
            if route.response_body is None:
                broken = [each for each in violations if not is_input_only(output, each.field)]
                assert broken == [], route.method.name


def test_samples_are_short(image: FileDescriptorSet) -> None:
    """No sample has many more lines than LINES_MAX, also of messages with many fields or in themselves."""
    contract = read(image)
    for route, content in contents_of(contract, documents_of(contract)):
        lines = json.dumps(content[JSON].get("example"), indent=2).count("\n") + 1
        assert lines <= LINES_MAX + LINES_OVER_MAX, route.method.name


def test_each_json_response_has_a_sample(image: FileDescriptorSet) -> None:
    """Only an Any has none, because there is no type that it would hold."""
    contract = read(image)
    without = [
        route.method.desc.output.type_name
        for route, content in contents_of(contract, documents_of(contract))
        if "example" not in content[JSON] and not returns_http_body(route)
    ]
    assert set(without) <= {"google.protobuf.Any"}


def test_a_sample_has_what_the_service_chooses(ships: Contract) -> None:
    """It has names in the form that the comment gives, UUIDs and times; no field that no response has, none that is
    deprecated or breaks a rule, none of a special case, one of those that exclude each other, and no message in itself.
    """
    assert samples_of(ships)["Get"] == SHIP


def test_a_sample_repeats_the_request(ships: Contract) -> None:
    """A field that the sample of the request has is in that of the response, with the same value."""
    assert samples_of(ships)["Sink"] == SHIP | {"wreck": {"metres": 5, "diver": "example"}, "captain": "Ahab"}


def test_a_page_has_an_element_and_a_token(ships: Contract) -> None:
    """A list has one element, and the token of the next page."""
    assert samples_of(ships)["List"] == {"ships": [SHIP], "nextPageToken": "bmV4dA"}


def test_an_empty_response_is_an_empty_object(ships: Contract) -> None:
    """A message without fields has a sample too."""
    assert samples_of(ships)["Delete"] == {}


@pytest.mark.parametrize("method", ["Guess", "Open"])
def test_what_no_sample_satisfies_has_none(method: str, ships: Contract) -> None:
    """A required field whose rule no guess fulfils, or an Any, leaves the response without a sample."""
    assert samples_of(ships)[method] is None


async def test_a_stream_has_the_samples_that_the_edge_writes(ships: Contract) -> None:
    """The sample in each media type is the body that the edge sends if the service sends this message."""
    contents = {route.method.desc.name: each for route, each in contents_of(ships, documents_of(ships))}
    content = contents["Watch"]
    [message] = content[JSON]["example"]
    async with backend_of(ships.registry, ["/ships.v1.Ships/Watch"]) as backend, edge_of(ships, backend.port) as edge:
        encoded = backend.message("ships.v1.WatchResponse", json.dumps(message)).to_binary()

        async def answer(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
            yield encoded

        backend.stream = answer
        for media_type in ("application/x-ndjson", "text/event-stream"):
            response = await edge.get("/v1/ships:watch", headers={"accept": media_type})
            assert response.text == content[media_type]["example"]
        assert (await edge.get("/v1/ships:watch", headers={"accept": JSON})).json() == content[JSON]["example"]


def test_a_sample_has_the_style_of_responses(ships: Contract) -> None:
    """Names and enums are those that the edge is set to write."""
    style = JsonStyle(proto_names=True, enums_as_numbers=True)
    documents = Documents(ships.routes, ships.registry, title="T", secured=False, style=style)
    contents = {route.method.desc.name: content for route, content in contents_of(ships, documents)}
    sample = contents["Get"][JSON]["example"]
    assert (sample["launch_time"], sample["kind"]) == (TIME, 2)
