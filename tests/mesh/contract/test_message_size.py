"""The largest size of a request by its contract."""

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from protobuf import Registry
from protobuf.wkt import FileDescriptorSet as Image

from mesh.contract.message_size import BYTES_MIN, request_bytes_max
from tests.edge.contracts import compile_image

CONTRACT = """
syntax = "proto3";
package size.v1;
import "buf/validate/validate.proto";
import "google/api/field_behavior.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";

message Small { int32 number = 1; bool flag = 2; google.protobuf.Duration time = 3; }
message Names {
  repeated string names = 1 [(buf.validate.field).repeated = {max_items: 1000 items: {string: {max_len: 100}}}];
}
message Inner { repeated Names names = 1 [(buf.validate.field).repeated.max_items = 2]; Small small = 2; }
message Labels {
  map<string, string> labels = 1 [(buf.validate.field).map = {
    max_pairs: 1000 keys: {string: {max_len: 50}} values: {string: {max_bytes: 50}}
  }];
}
message Uid {
  repeated string uids = 1 [(buf.validate.field).repeated = {max_items: 1000 items: {string: {uuid: true}}}];
}
message Text { string text = 1; }
message Data { bytes data = 1; }
message List { repeated int32 numbers = 1; }
message Keys {
  map<string, string> labels = 1 [(buf.validate.field).map = {max_pairs: 1 values: {string: {max_len: 1}}}];
}
message Tree { repeated Tree trees = 1 [(buf.validate.field).repeated.max_items = 2]; }
message Mask { google.protobuf.FieldMask mask = 1; }
message Json { google.protobuf.Struct json = 1; }
message Returned { Small small = 1; string uid = 2 [(google.api.field_behavior) = OUTPUT_ONLY]; }
message Switched { string text = 1 [(buf.validate.field) = {string: {max_len: 5} ignore: IGNORE_ALWAYS}]; }
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Returns the types of the contract."""
    image: FileDescriptorSet = compile_image(CONTRACT, tmp_path_factory.mktemp("size"))
    return Image.from_binary(image.SerializeToString()).to_registry()


def bytes_max(registry: Registry, name: str) -> int:
    """Returns the limit of a request of this type if ten million bytes are allowed."""
    desc = registry.message(f"size.v1.{name}")
    assert desc is not None
    return request_bytes_max(desc, 10_000_000)


@pytest.mark.parametrize("name", ["Text", "Data", "List", "Keys", "Tree", "Mask", "Json", "Returned", "Switched"])
def test_a_contract_without_a_bound_allows_what_the_setting_does(registry: Registry, name: str) -> None:
    """One text without a rule makes the size unbounded, also an output only one, which clients may send back."""
    assert bytes_max(registry, name) == 10_000_000


def test_small_requests_have_room(registry: Registry) -> None:
    """The limit leaves room for white space and for fields of a newer contract."""
    assert bytes_max(registry, "Small") == BYTES_MIN


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("Names", 1000 * 102 * 12, 3_000_000),
        ("Inner", 2 * 1000 * 102 * 12, 6_000_000),
        ("Labels", 1000 * 100 * 12, 3_000_000),
        ("Uid", 1000 * 38, 1_000_000),
    ],
)
def test_a_bound_holds_every_valid_request(registry: Registry, name: str, least: int, most: int) -> None:
    """The bound fits a valid request even if all its characters are escaped, and is not much larger."""
    assert least <= bytes_max(registry, name) <= most


def test_the_setting_is_the_upper_limit(registry: Registry) -> None:
    """The limit never exceeds the allowed bytes."""
    desc = registry.message("size.v1.Names")
    assert desc is not None
    assert request_bytes_max(desc, 1000) == 1000
