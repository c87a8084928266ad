"""The token endpoint of a contract, recognized by the names of RFC 6749."""

from pathlib import Path

import pytest

from edge.contract.contract import read
from edge.contract.token_endpoint import token_url
from tests.edge.contracts import compile_image

TOKENS = """
syntax = "proto3";
package tokens.v1;
import "google/api/annotations.proto";
service Tokens {
  rpc Issue(IssueRequest) returns (Token) { option (google.api.http) = {post: "/oauth/token" body: "*"}; }
}
message IssueRequest { string grant_type = 1; string username = 2; string password = 3; }
message Token { string access_token = 1 [json_name = "access_token"]; }
"""


@pytest.mark.parametrize(
    ("old", "new", "url"),
    [
        ("", "", "/oauth/token"),
        ("post:", "put:", None),
        ('body: "*"', 'body: "password"', None),
        ("string username = 2;", "", None),
        (' [json_name = "access_token"]', "", None),
    ],
)
def test_a_token_endpoint_has_the_fields_of_oauth(old: str, new: str, url: str | None, tmp_path: Path) -> None:
    """It takes a form by POST with the fields of the password grant, and returns an access token."""
    assert token_url(read(compile_image(TOKENS.replace(old, new), tmp_path)).routes) == url


def test_no_type_is_built_to_find_it(tmp_path: Path) -> None:
    """The endpoint is found at the start without building types, which takes seconds for a large contract."""
    contract = read(compile_image(TOKENS, tmp_path))
    assert token_url(contract.routes) == "/oauth/token"
    assert "desc" not in vars(contract.methods[0])
