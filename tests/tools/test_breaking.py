"""Changes of HTTP rules and policies that break clients."""

from pathlib import Path

import pytest

from tests.edge.contracts import compile_image
from tools.breaking import breaking_changes

CONTRACT = """
syntax = "proto3";
package things.v1;
import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";
message Thing {
  string name = 1;
  string other = 2;
  Thing inner = 3;
}
service Things {
  rpc Update(Thing) returns (Thing) {
    option (google.api.http) = {
      patch: "/v1/{name=things/*}" body: "inner"
      additional_bindings {post: "/v1/{name}:update" body: "*"}
    };
    option (meshwright.policy.v1.method) = {scopes: "things.write" callers: "desk" ignore_unknown_fields: true};
  }
  rpc List(Thing) returns (Thing) {
    option (google.api.http) = {get: "/v1/things"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Count(Thing) returns (Thing) {
    option (meshwright.policy.v1.method) = {callers: "desk"};
  }
}
"""
UPDATE = "things.v1.Things.Update"
PATCH = f"{UPDATE}: PATCH /v1/{{name=things/*}}"
INTERNAL = '{callers: "desk"}'


def changes(old: str, new: str, folder: Path) -> list[str]:
    """Returns the changes between the contract and the one with new text in the place of old."""
    assert old in CONTRACT
    for name, text in (("before", CONTRACT), ("after", CONTRACT.replace(old, new))):
        (folder / name).mkdir()
        compile_image(text, folder / name)
    return list(breaking_changes(*(folder / name / "test.proto.binpb" for name in ("before", "after"))))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('patch: "/v1/{name=things/*}"', 'patch: "/v2/{name=things/*}"', [f"{PATCH} is no longer served."]),
        ('patch: "/v1/', 'put: "/v1/', [f"{PATCH} is no longer served."]),
        ("{name}:update", "{name}:change", [f"{UPDATE}: POST /v1/{{name}}:update is no longer served."]),
        (
            "{name=things/*}",
            "{other=things/*}",
            [f"{PATCH} is now /v1/{{other=things/*}}, which sets other fields."],
        ),
        ('body: "inner"', 'body: "*"', [f"{PATCH} has body '*', not 'inner'."]),
        ('body: "inner"', "", [f"{PATCH} has body '', not 'inner'."]),
        (
            'body: "inner"',
            'body: "inner" response_body: "inner"',
            [f"{PATCH} has response_body 'inner', not ''."],
        ),
        ('"things.write"', '"things.manage"', [f"{UPDATE} requires more scopes: things.manage."]),
        ("{public: true}", "{}", ["things.v1.Things.List requires a token."]),
        (INTERNAL, '{callers: "till"}', ["things.v1.Things.Count no longer admits callers: desk."]),
        ("{public: true}", "{public: true http_status: 201}", ["things.v1.Things.List has http_status 201, not 200."]),
        (
            "{public: true}",
            "{public: true error_format: ERROR_FORMAT_OAUTH2}",
            ["things.v1.Things.List has error_format OAUTH2, not UNSPECIFIED."],
        ),
        (" ignore_unknown_fields: true", "", [f"{UPDATE} no longer ignores unknown fields."]),
    ],
)
def test_a_change_that_breaks_clients_is_named(tmp_path: Path, old: str, new: str, found: list[str]) -> None:
    """Each change has its method, and its URL if it concerns one."""
    assert changes(old, new, tmp_path) == found


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name}:update", "{name=*}:update"),
        ("additional_bindings", 'additional_bindings {get: "/v1/x"} additional_bindings'),
        ('scopes: "things.write" ', ""),
        ('{scopes: "things.write"', "{public: true"),
        (INTERNAL, '{callers: "*"}'),
        (INTERNAL, '{callers: "desk" callers: "till"}'),
    ],
)
def test_other_changes_break_nobody(tmp_path: Path, old: str, new: str) -> None:
    """More URLs, fewer scopes, more callers, and another way to write the same URL."""
    assert changes(old, new, tmp_path) == []
