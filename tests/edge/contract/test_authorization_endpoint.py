"""The authorization endpoint of a contract, recognized by the names of RFC 6749 and RFC 7636."""

from pathlib import Path

import pytest

from edge.contract.authorization_endpoint import authorization_url
from edge.contract.contract import read
from tests.edge.contracts import compile_image

PAGES = """
syntax = "proto3";
package pages.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";
service Pages {
  rpc Send(AuthorizationRequest) returns (google.api.HttpBody) {
    option (google.api.http) = {post: "/oauth/send" body: "*"};
  }
  rpc Show(AuthorizationRequest) returns (google.api.HttpBody) {
    option (google.api.http) = {get: "/oauth/authorize"};
  }
}
message AuthorizationRequest {
  string client_id = 1;
  string redirect_uri = 2;
  string response_type = 3;
  string code_challenge = 4;
}
"""


@pytest.mark.parametrize(
    ("old", "new", "url"),
    [
        ("", "", "/oauth/authorize"),
        ("get:", "put:", None),
        ("/oauth/authorize", "/oauth/{client_id}", None),
        ("string code_challenge = 4;", "", None),
        (
            "returns (google.api.HttpBody) {\n    option (google.api.http) = {get",
            "returns (stream google.api.HttpBody) {\n    option (google.api.http) = {get",
            None,
        ),
    ],
)
def test_an_authorization_endpoint_has_the_fields_of_oauth(old: str, new: str, url: str | None, tmp_path: Path) -> None:
    """It is a page by GET whose request has the fields of the code flow with PKCE."""
    assert authorization_url(read(compile_image(PAGES.replace(old, new), tmp_path)).routes) == url


def test_no_type_is_built_to_find_it(tmp_path: Path) -> None:
    """The endpoint is found at the start without building types, which takes seconds for a large contract."""
    contract = read(compile_image(PAGES, tmp_path))
    assert authorization_url(contract.routes) == "/oauth/authorize"
    assert "desc" not in vars(contract.methods[0])
