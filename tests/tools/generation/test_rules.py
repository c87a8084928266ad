"""The problems of HTTP rules, at their lines."""

from pathlib import Path

import pytest
from protobuf.wkt import FileDescriptorSet

from tests.edge.contracts import compile_image
from tools.generation.rules import rule_problems

CONTRACT = """\
syntax = "proto3";
package things.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
message Thing {
  string name = 1;
  Thing inner = 2;
  // ambiguous
  string point_entry = 4;
}
service Things {
  rpc List(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/things"}; }
  rpc Get(Thing) returns (Thing) {
    option (google.api.http) = {post: "/v1/{name=things/*}" body: "*"};
  }
}
"""
RULE = 'post: "/v1/{name=things/*}" body: "*"'


def problems(text: str, folder: Path) -> tuple[list[str], list[str]]:
    """Returns the errors and the warnings about a contract."""
    image = FileDescriptorSet.from_binary(compile_image(text, folder, "things.proto").SerializeToString())
    errors, warnings = rule_problems(image)
    return [str(each) for each in errors], [str(each) for each in warnings]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ('get: "/v1/{nmae=things/*}"', "'/v1/{nmae=things/*}', column 5: things.v1.Thing has no field nmae"),
        (
            'post: "/v1/x" body: "pointEntry"',
            "'/v1/x': body: things.v1.Thing has no field pointEntry; use the proto name point_entry",
        ),
        ('get: "/v1/{name=things/*"', "'/v1/{name=things/*', column 19: expected '}', found the end"),
        ('get: "v1/things"', "'v1/things', column 1: expected '/', found 'v'"),
        ('get: "/v1/{inner}"', "'/v1/{inner}', column 5: inner is a message; a path can only set a field of it"),
        ('body: "*"', "the rule has no HTTP method and path"),
    ],
)
def test_a_rule_that_the_edge_cannot_serve_is_an_error(tmp_path: Path, rule: str, why: str) -> None:
    """The error has the line of the rule, the method, the template and the cause, as `edge --check` has them."""
    found = problems(CONTRACT.replace(RULE, rule), tmp_path)
    assert found == ([f"proto/things.proto:14: error: things.v1.Things.Get: {why}."], [])


def test_an_invalid_validation_rule_is_an_error(tmp_path: Path) -> None:
    """The rules of protovalidate are compiled as the edge compiles them when it starts."""
    field = "string name = 1"
    rule = f'{field} [(buf.validate.field).cel = {{id: "x" expression: "nope("}}]'
    errors, _ = problems(CONTRACT.replace(field, rule), tmp_path)
    assert [each.partition("a validation rule is invalid")[:2] for each in errors] == [
        (f"proto/things.proto:{line}: error: things.v1.Things.{name}: {url!r}: ", "a validation rule is invalid")
        for line, name, url in ((12, "List", "/v1/things"), (14, "Get", "/v1/{name=things/*}"))
    ]


def test_a_second_rule_of_one_url_is_a_warning(tmp_path: Path) -> None:
    """The warning has the line of the rule that is not served, also if it is an additional binding."""
    rules = f'{RULE}\n      additional_bindings {{custom: {{kind: "GET" path: "/v1/things"}}}}'
    errors, warnings = problems(CONTRACT.replace(RULE, rules), tmp_path)
    why = "'/v1/things': GET of this URL is already served by '/v1/things' of things.v1.Things.List"
    assert (errors, warnings) == ([], [f"proto/things.proto:14: warning: things.v1.Things.Get: {why}."])


def test_an_ambiguous_name_is_a_warning(tmp_path: Path) -> None:
    """The warning has the line of the message, also if that is nested in another one."""
    nested = "  message Part {\n    string a_b = 1;\n    string x = 2 [json_name = 'a_b'];\n  }\n  Part part = 9;\n"
    errors, warnings = problems(CONTRACT.replace("  // ambiguous\n", nested), tmp_path)
    assert errors == []
    assert [each.partition(".Part: ")[0] for each in warnings] == ["proto/things.proto:8: warning: things.v1.Thing"]


def test_contracts_without_a_rule_are_an_error(tmp_path: Path) -> None:
    """An error of all contracts together is one of the folder."""
    errors, _ = problems('syntax = "proto3"; package p.v1; message M {}', tmp_path)
    assert errors == ["proto:1: error: the contracts: no service is declared, so nothing would be served."]
