"""Validation of messages whose proto names and JSON names clash."""

from pathlib import Path
from typing import Any

import pytest
from protobuf import Registry
from protobuf.wkt import FileDescriptorSet

from mesh.validation import Validator
from mesh.validation.proto_names import with_proto_names
from tests.edge.contracts import compile_image

CONTRACT = """
syntax = "proto3";
package clashes.v1;
import "buf/validate/validate.proto";
import "google/protobuf/timestamp.proto";
message Outer {
  string name = 1 [(buf.validate.field).string.max_len = 3];
  repeated Inner inners = 2;
  map<string, Inner> by_key = 3;
}
message Inner {
  string a = 1 [json_name = "b", (buf.validate.field).string.max_len = 3];
  string b = 2 [json_name = "c"];
  Outer outer = 3;
  google.protobuf.Timestamp time = 4;
}
"""
PLAIN = """
syntax = "proto3";
package plain.v1;
import "buf/validate/validate.proto";
message Plain { string name = 1 [(buf.validate.field).string.max_len = 3]; }
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Returns the types of the contract above."""
    image = compile_image(CONTRACT, tmp_path_factory.mktemp("clashes"))
    return FileDescriptorSet.from_binary(image.SerializeToString()).to_registry()


def made(registry: Registry, name: str, json: str) -> Any:
    """Returns a message from its JSON."""
    desc = registry.message(f"clashes.v1.{name}")
    assert desc is not None
    return desc.type.from_json(json)


def test_rules_hold_where_names_clash(registry: Registry) -> None:
    """Nested messages are validated too; violations have the names of the contract."""
    message = made(registry, "Outer", '{"name": "n", "inners": [{"a": "long"}], "byKey": {"k": {"a": "long"}}}')
    validator = Validator()
    for _ in range(2):
        assert [each.field for each in validator.violations(message)] == ["inners[0].a", 'by_key["k"].a']
    assert validator.violations(made(registry, "Outer", '{"name": "n", "inners": [{"c": "long"}]}')) == ()


def test_other_types_are_not_copied(tmp_path: Path) -> None:
    """A message of another type is validated as it is, and an error with another cause is raised."""
    image = compile_image(PLAIN, tmp_path)
    desc = FileDescriptorSet.from_binary(image.SerializeToString()).to_registry().message("plain.v1.Plain")
    assert desc is not None
    assert with_proto_names(desc) is None
    message: Any = desc.type.from_json('{"name": "long"}')
    assert [each.field for each in Validator().violations(message)] == ["name"]
    message.name = "\ud800"
    with pytest.raises(ValueError, match="surrogates"):
        Validator().violations(message)
