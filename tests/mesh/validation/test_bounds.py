"""The bounds on sizes, applied before rules are evaluated; and validation that fails closed."""

from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from protobuf import Message, Registry
from protobuf.wkt import FileDescriptorSet as Image

from mesh.errors import FieldViolation
from mesh.validation import Validator
from mesh.validation.bounds import Bounds
from mesh.validation.message_cost import TooCostly
from mesh.validation.validator import ELEMENTS_MAX
from tests.edge.contracts import compile_image

CONTRACT = """
syntax = "proto3";
package bounds.v1;
import "buf/validate/validate.proto";

message Request {
  repeated string names = 1 [(buf.validate.field).repeated = {max_items: 3 items: {string: {pattern: "^[a-z]+$"}}}];
  map<string, int32> counts = 2 [(buf.validate.field).map.max_pairs = 2];
  string title = 3 [(buf.validate.field).string = {max_len: 5 pattern: "^[a-z]*$"}];
  bytes data = 4 [(buf.validate.field).bytes.max_len = 4];
  repeated Item items = 5 [(buf.validate.field).repeated.max_items = 2];
  repeated Item free = 6;
  repeated string free_names = 7 [(buf.validate.field).repeated.items.string.min_len = 1];
  repeated Item square = 8 [(buf.validate.field).cel = {
    id: "square" message: "must differ" expression: "this.all(a, this.exists_one(b, a.name == b.name))"
  }];
  repeated Item copied = 9 [(buf.validate.field).cel = {
    id: "copied" message: "must differ" expression: "this.map(a, a.name).unique()"
  }];
  repeated Item kept = 10 [
    (buf.validate.field).repeated.max_items = 200,
    (buf.validate.field).cel = {id: "kept" message: "must differ" expression: "this.map(a, a.name).unique()"}
  ];
  repeated string ignored = 11 [(buf.validate.field) = {repeated: {max_items: 1} ignore: IGNORE_ALWAYS}];
  repeated string looked_at = 12 [(buf.validate.field).cel = {
    id: "looked_at" message: "must be short" expression: "this.all(each, each.size() < 5)"
  }];
  oneof choice {
    string word = 13 [(buf.validate.field).string.max_len = 3];
    Item item = 14;
  }
}

message Item {
  string name = 1 [(buf.validate.field).string.max_len = 4];
  string code = 2 [(buf.validate.field).cel = {id: "code" message: "is wrong" expression: "this.matches('^[a-z]*$')"}];
  repeated Item inner = 3;
}
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """Returns the types of the contract."""
    image: FileDescriptorSet = compile_image(CONTRACT, tmp_path_factory.mktemp("bounds"))
    return Image.from_binary(image.SerializeToString()).to_registry()


@pytest.fixture(scope="module")
def validator() -> Validator:
    """Returns a validator that compiles each type once."""
    return Validator()


def message(registry: Registry, kind: str = "Request", /, **fields: Any) -> Message:
    """Creates a message of the contract."""
    desc = registry.message(f"bounds.v1.{kind}")
    assert desc is not None
    return desc.type(**fields)


def items(registry: Registry, count: int, **fields: Any) -> list[Message]:
    """Creates items with different names."""
    return [message(registry, "Item", name=str(number % 10_000), **fields) for number in range(count)]


def found(validator: Validator, request: Message) -> list[tuple[str, str]]:
    """Returns the invalid fields, with the reasons."""
    return [(violation.field, violation.reason) for violation in validator.violations(request)]


def test_a_list_that_is_too_long_is_cut_before_its_elements_are_validated(
    registry: Registry, validator: Validator
) -> None:
    """Its length is the first violation, and no more elements are validated than it could have."""
    broken = found(validator, message(registry, names=["1"] * 100_000))
    assert broken[0] == ("names", "REPEATED_MAX_ITEMS")
    assert broken[1:] == [(f"names[{index}]", "STRING_PATTERN") for index in range(4)]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"counts": {str(key): key for key in range(50_000)}}, [("counts", "MAP_MAX_PAIRS")]),
        ({"title": "a" * 1_000_000}, [("title", "STRING_MAX_LEN")]),
        ({"data": b"a" * 1_000_000}, [("data", "BYTES_MAX_LEN")]),
        ({"names": ["a", "b", "c"], "title": "abcde", "data": b"1234", "counts": {"a": 1, "b": 2}}, []),
        ({"ignored": ["a"] * 5}, []),
    ],
    ids=["map", "string", "bytes", "as much as is allowed", "ignored"],
)
def test_sizes_are_those_of_the_contract(
    registry: Registry, validator: Validator, fields: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    """A field that is cut still breaks its rule; a field that is allowed is not cut."""
    assert found(validator, message(registry, **fields)) == expected


def test_a_message_that_is_valid_stays_as_it_is(registry: Registry, validator: Validator) -> None:
    """A valid message is not cut."""
    request = message(registry, names=["a"] * 3, ignored=["x"] * 9, title="abc", free=items(registry, 5))
    sent = request.to_binary()
    assert validator.violations(request) == ()
    assert request.to_binary() == sent


def test_members_of_a_oneof_are_cut_too(registry: Registry, validator: Validator) -> None:
    """The member that is set is cut."""
    desc = registry.message("bounds.v1.Request")
    assert desc is not None
    request = desc.type()
    request[next(field for field in desc.fields if field.name == "word")] = "x" * 100_000
    assert found(validator, request) == [("word", "STRING_MAX_LEN")]


def test_elements_of_messages_inside_are_cut(registry: Registry, validator: Validator) -> None:
    """Nested messages are cut at any depth."""
    inner = message(registry, "Item", name="n" * 100_000)
    request = message(registry, free=[message(registry, "Item", inner=[inner])])
    assert found(validator, request) == [("free[0].inner[0].name", "STRING_MAX_LEN")]
    assert len(inner.to_binary()) < 20


def test_of_a_large_message_the_first_violation_is_enough(registry: Registry, validator: Validator) -> None:
    """There could be as many violations as elements, each of them an object."""
    few, many = ([""] * count for count in (ELEMENTS_MAX, ELEMENTS_MAX + 1))
    assert len(found(validator, message(registry, free_names=few))) == 100
    assert found(validator, message(registry, free_names=many)) == [("free_names[0]", "STRING_MIN_LEN")]


@pytest.mark.parametrize(
    ("field", "count"), [("square", 20_000), ("copied", 20_000), ("looked_at", 50_000), ("free", 20_000)]
)
def test_expressions_over_too_much_are_refused_unevaluated(
    registry: Registry, validator: Validator, field: str, count: int
) -> None:
    """The error names the list, and asks to send less."""
    elements = ["a"] * count if field == "looked_at" else items(registry, count, code="abc")
    assert found(validator, message(registry, **{field: elements})) == [(field, "RULE_NOT_EVALUATED")]


def test_what_the_contract_bounds_is_evaluated(registry: Registry, validator: Validator) -> None:
    """Expressions over lists that the contract bounds are always evaluated."""
    request = message(registry, kept=items(registry, 200, code="abc"))
    assert Bounds().apply(request).elements == 200
    assert found(validator, request) == []
    twice = message(registry, kept=[*items(registry, 199), *items(registry, 1)])
    assert found(validator, twice) == [("kept", "KEPT")]


def test_a_rule_that_fails_is_a_violation(registry: Registry, validator: Validator) -> None:
    """A message is invalid if protovalidate gives up after too many iterations."""
    assert found(validator, message(registry, looked_at=["a"] * 10_000)) == [("(request)", "RULE_NOT_EVALUATED")]


def test_the_cost_of_a_message_has_an_end(registry: Registry) -> None:
    """Counting stops at the limit."""
    with pytest.raises(TooCostly) as caught:
        Bounds().apply(message(registry, copied=items(registry, 50_000)))
    assert caught.value.field == "copied"


def test_violations_are_values(registry: Registry, validator: Validator) -> None:
    """The description states the remedy."""
    (violation,) = validator.violations(message(registry, copied=items(registry, 20_000)))
    text = "is too large for a rule of the contract to be evaluated; send less at once"
    assert violation == FieldViolation("copied", text, "RULE_NOT_EVALUATED")
