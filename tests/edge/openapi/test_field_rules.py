"""protovalidate's rules as keywords, with examples that satisfy them."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped] # has no stubs

from edge.contract.contract import read
from tests.edge.contracts import compile_image
from tests.edge.openapi.contracts import documents_of

UUID = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"
RULES = """
syntax = "proto3";
package rules.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "google/protobuf/timestamp.proto";
service S { rpc Put(M) returns (M) { option (google.api.http) = {post: "/v1/m" body: "*"}; } }
enum E { E_UNSPECIFIED = 0; E_A = 1; E_B = 2; }
message M {
%s
  string plain = 100;
  option (buf.validate.message).cel = {id: "m" message: "a must fit b" expression: "true"};
}
"""


def schema_of(field: str, tmp_path: Path) -> dict[str, Any]:
    """Returns a schema document for requests of a message with this field."""
    contract = read(compile_image(RULES % field, tmp_path))
    document = json.loads(b"".join(documents_of(contract).pieces()), parse_constant=_reject)
    return {"$ref": "#/components/schemas/rules.v1.M-Input", "components": document["components"]}


def _reject(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


@pytest.mark.parametrize(
    ("field", "right", "wrong"),
    [
        ("string f1 = 1 [(buf.validate.field).string = {min_len: 2 max_len: 3}];", ["ab"], ["a", "abcd", None]),
        ("string f1 = 1 [(buf.validate.field).string.len = 2];", ["ab"], ["a"]),
        ('string f1 = 1 [(buf.validate.field).string.pattern = "^[a-c]{2}(x|y)+$"];', ["abx"], ["ab"]),
        (r'string f1 = 1 [(buf.validate.field).string.pattern = "^\\w+\\@[\\w-.]+$"];', ["a@b-c.d"], ["a@b c"]),
        ('string f1 = 1 [(buf.validate.field).string = {prefix: "a.b" suffix: "z"}];', ["a.bz"], ["acbz", "a.b"]),
        ('string f1 = 1 [(buf.validate.field).string.contains = "x+"];', ["ax+b"], ["axx"]),
        ('string f1 = 1 [(buf.validate.field).string.const = "x"];', ["x"], ["y"]),
        ('string f1 = 1 [(buf.validate.field).string = {in: ["x", "y"]}];', ["y"], ["z"]),
        ('string f1 = 1 [(buf.validate.field).string = {not_in: ["x"]}];', ["y"], ["x"]),
        ("string f1 = 1 [(buf.validate.field).string.email = true];", ["a@example.com"], ["a"]),
        ("string f1 = 1 [(buf.validate.field).string.ip = true];", ["192.0.2.1", "::1"], ["a"]),
        ("string f1 = 1 [(buf.validate.field).string.tuuid = true];", ["0" * 32], ["0"]),
        ("string f1 = 1 [(buf.validate.field).required = true];", ["a"], [""]),
        (
            "string f1 = 1 [(buf.validate.field).string.min_len = 2, "
            "(buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];",
            ["", "ab", None],
            ["a"],
        ),
        (
            "string f1 = 1 [(buf.validate.field).string.min_len = 2, (buf.validate.field).ignore = IGNORE_ALWAYS];",
            ["a"],
            [],
        ),
        ("int32 f1 = 1 [(buf.validate.field).int32 = {gt: 0 lt: 5}];", [1, 4], [0, 5, None]),
        ("int32 f1 = 1 [(buf.validate.field).int32 = {gte: 7 lte: 2}];", [1, 8], [5]),
        ("int32 f1 = 1 [(buf.validate.field).int32 = {in: [3, 5]}];", [3], [4]),
        (
            "int32 f1 = 1 [(buf.validate.field).int32 = {gte: 3}, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];",
            [0, 3],
            [2],
        ),
        ("double f1 = 1 [(buf.validate.field).double = {gt: 0 lt: 0.5}];", [0.25], [0, 0.5]),
        ("int64 f1 = 1 [(buf.validate.field).int64 = {gte: 0 lte: 99}];", ["0", "99", 5], ["-1", "100", -1, 100]),
        ("int64 f1 = 1 [(buf.validate.field).int64.gt = 0];", ["1", 1], ["0", 0]),
        ("uint64 f1 = 1 [(buf.validate.field).uint64.const = 7];", ["7", 7], ["8", 8]),
        ("bool f1 = 1 [(buf.validate.field).bool.const = true];", [True], [False, None]),
        ("E f1 = 1 [(buf.validate.field).enum.defined_only = true];", ["E_A", 2], [3]),
        ("E f1 = 1 [(buf.validate.field).enum = {in: [1]}];", ["E_A", 1], ["E_B", 2]),
        ("E f1 = 1 [(buf.validate.field).enum = {not_in: [1]}];", ["E_B", 7], ["E_A", 1]),
        ("float f1 = 1 [(buf.validate.field).float.gt = 0];", [1, "Infinity"], [0, "NaN", "-Infinity"]),
        ("float f1 = 1 [(buf.validate.field).float.finite = true];", [1], ["NaN", "Infinity"]),
        ("float f1 = 1 [(buf.validate.field).float.gte = 5];", [5, "Infinity"], [4.5, "NaN"]),
        ("float f1 = 1 [(buf.validate.field).float.lte = 0.5];", [0.5, "-Infinity"], [1]),
        ("double f1 = 1 [(buf.validate.field).double = {gte: 0 lt: inf}];", [0, 1], [-1, "Infinity", "NaN"]),
        ("float f1 = 1 [(buf.validate.field).float = {gt: -inf lt: inf}];", [1], ["Infinity", "NaN", 1e39]),
        ("double f1 = 1 [(buf.validate.field).double.lte = inf];", [1, "Infinity", "-Infinity"], ["NaN"]),
        ("double f1 = 1 [(buf.validate.field).double = {in: [1, inf]}];", [1, "Infinity"], [2, "NaN"]),
        ("double f1 = 1 [(buf.validate.field).double.const = inf];", ["Infinity"], [1, "NaN"]),
        ("double f1 = 1 [(buf.validate.field).double.not_in = inf];", [1, "-Infinity"], ["Infinity"]),
        ("double f1 = 1 [(buf.validate.field).double.example = inf];", [1, "Infinity"], ["x"]),
        ("optional string f1 = 1 [(buf.validate.field).required = true];", [""], [None]),
        ("int32 f1 = 1 [(buf.validate.field).required = true];", [1], [0]),
        ("int64 f1 = 1 [(buf.validate.field).required = true];", ["1", 1], ["0", 0]),
        ("bool f1 = 1 [(buf.validate.field).required = true];", [True], [False]),
        ("E f1 = 1 [(buf.validate.field).required = true];", ["E_A", 1], ["E_UNSPECIFIED", 0]),
        (
            "E f1 = 1 [(buf.validate.field).required = true, (buf.validate.field).enum.defined_only = true];",
            ["E_A", 2],
            ["E_UNSPECIFIED", 0, 3],
        ),
        *(
            (f"{field}, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];", [*zero, *right], wrong)
            for field, zero, right, wrong in (
                ("string f1 = 1 [(buf.validate.field).string.uuid = true", ["", None], [UUID], ["a"]),
                ('string f1 = 1 [(buf.validate.field).string = {in: ["x"]}', ["", None], ["x"], ["y"]),
                ('string f1 = 1 [(buf.validate.field).string.const = "x"', ["", None], ["x"], ["y"]),
                ("string f1 = 1 [(buf.validate.field).string.ip = true", ["", None], ["::1"], ["y"]),
                ('string f1 = 1 [(buf.validate.field).string = {prefix: "a" suffix: "z"}', ["", None], ["az"], ["a"]),
                ("int64 f1 = 1 [(buf.validate.field).int64.gt = 4", ["0", 0, None], ["5", 5], ["3", 3]),
                ("int64 f1 = 1 [(buf.validate.field).int64 = {in: [4]}", ["0", 0, None], ["4", 4], ["3", 3]),
                ("double f1 = 1 [(buf.validate.field).double.gt = 4", [0, None], [5, "Infinity"], [3, "NaN"]),
                ("int32 f1 = 1 [(buf.validate.field).int32 = {gte: 7 lte: 2}", [0, None], [1, 8], [5]),
                ("E f1 = 1 [(buf.validate.field).enum = {in: [1]}", ["E_UNSPECIFIED", 0, None], ["E_A"], ["E_B", 2]),
                ("repeated string f1 = 1 [(buf.validate.field).repeated.min_items = 2", [[], None], [["", ""]], [[""]]),
            )
        ),
        (
            "repeated string f1 = 1 [(buf.validate.field).repeated = {min_items: 1 max_items: 2 unique: true "
            "items: {string: {min_len: 2}}}];",
            [["ab"]],
            [[], ["a"], ["ab", "ab"], ["ab", "cd", "ef"]],
        ),
        (
            "map<string, int32> f1 = 1 [(buf.validate.field).map = {min_pairs: 1 max_pairs: 1 "
            "keys: {string: {min_len: 2}} values: {int32: {gt: 0}}}];",
            [{"ab": 1}],
            [{}, {"a": 1}, {"ab": 0}, {"ab": 1, "cd": 1}],
        ),
        (
            "map<int64, int32> f1 = 1 [(buf.validate.field).map = {keys: {int64: {gt: 5}} values: {int32: {gt: 0}}}];",
            [{"6": 1}, {}],
            [{"5": 1}, {"a": 1}, {"6": 0}],
        ),
        ("map<uint32, bool> f1 = 1 [(buf.validate.field).map.keys.uint32.lt = 10];", [{"9": True}], [{"10": True}]),
        (
            "map<sint32, bool> f1 = 1 [(buf.validate.field).map.keys.sint32 = {in: [-3]}];",
            [{"-3": True}],
            [{"3": True}],
        ),
        ("map<bool, bool> f1 = 1 [(buf.validate.field).map.keys.bool.const = true];", [{"true": True}], [{"x": True}]),
        ("E f1 = 1 [(buf.validate.field).enum = {defined_only: true not_in: [0, 1, 2]}];", [], ["E_A", 2]),
    ],
)
def test_rules_are_keywords(field: str, right: list[Any], wrong: list[Any], tmp_path: Path) -> None:
    """The schema rejects the values that protovalidate rejects, and accepts its own examples."""
    schema = schema_of(field, tmp_path)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    shown = schema["components"]["schemas"]["rules.v1.M-Input"]["properties"]["f1"].get("examples", [])
    for value in (*right, *shown):
        assert validator.is_valid({"f1": value}), value
    for value in wrong:
        assert not validator.is_valid({"f1": value}), value


def test_rules_without_a_keyword_are_sentences(tmp_path: Path) -> None:
    """CEL rules, patterns that JSON Schema can't express, and rules about the current time are sentences."""
    cel = '(buf.validate.field).cel = {id: "x" message: "must be odd" expression: "true"}'
    for field, said in (
        (f"int32 f1 = 1 [{cel}];", "Must be odd."),
        (
            'string f1 = 1 [(buf.validate.field).string.pattern = "(?i)^a$"];',
            "Must match the regular expression `(?i)^a$`, in RE2's syntax.",
        ),
        (
            "google.protobuf.Timestamp f1 = 1 [(buf.validate.field).timestamp.lt_now = true];",
            "Must be in the past.",
        ),
        (
            "google.protobuf.Timestamp f1 = 1 [(buf.validate.field).timestamp.gt = {seconds: 1}];",
            "Must be greater than `1970-01-01T00:00:01Z`.",
        ),
        (
            'bytes f1 = 1 [(buf.validate.field).bytes = {min_len: 2 in: ["a", "bc"]}];',
            "Must be at least 2 bytes long. Must be one of `YQ==` (in base64), `YmM=` (in base64).",
        ),
    ):
        message = schema_of(field, tmp_path)["components"]["schemas"]["rules.v1.M-Input"]
        assert message["properties"]["f1"]["description"] == said
        assert message["description"] == "A must fit b."


def test_fields_that_exclude_each_other_by_a_rule(tmp_path: Path) -> None:
    """The rule `oneof` of a message, and a required oneof, exclude or demand fields."""
    rule = 'option (buf.validate.message).oneof = {fields: ["f1", "plain"]};'
    schema = schema_of(f"string f1 = 1; {rule}", tmp_path)
    assert Draft202012Validator(schema).is_valid({"f1": "a"})
    assert not Draft202012Validator(schema).is_valid({"f1": "a", "plain": "b"})
    field = "oneof o { option (buf.validate.oneof).required = true; string f1 = 1; string f2 = 2; }"
    schema = schema_of(field, tmp_path)
    right = [{"f2": "a"}, {"f1": "a", "f2": None}]
    assert all(Draft202012Validator(schema).is_valid(value) for value in right)
    assert not any(Draft202012Validator(schema).is_valid(value) for value in ({}, {"f1": "a", "f2": "b"}, {"f1": None}))
