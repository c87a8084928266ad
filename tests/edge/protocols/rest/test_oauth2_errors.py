"""Errors in the format of OAuth 2.0, of methods whose policy selects it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge.contract.contract import Contract, read
from edge.http.errors import HttpError
from edge.http.oauth2_errors import oauth2_code, oauth2_reply
from mesh.errors import (
    Code,
    Internal,
    InvalidArgument,
    MeshError,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from tests.edge.backend import Backend, backend_of
from tests.edge.contracts import compile_image
from tests.edge.http.test_errors import fails
from tests.edge.openapi.contracts import documents_of
from tests.edge.served import edge_of

CONTRACT = """
syntax = "proto3";
package tokens.v1;

import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";

service Tokens {
  rpc Issue(Grant) returns (Grant) {
    option (google.api.http) = {post: "/v1/token" body: "*"};
    option (meshwright.policy.v1.method) = {
      public: true
      invalid_reason: "INVALID_REQUEST"
      error_format: ERROR_FORMAT_OAUTH2
    };
  }
  rpc Limited(Grant) returns (Grant) {
    option (google.api.http) = {post: "/v1/limited" body: "*"};
    option (meshwright.policy.v1.method) = {
      public: true
      error_format: ERROR_FORMAT_OAUTH2
      rate_limit: {requests: 1 per: {seconds: 3600}}
    };
  }
  rpc Plain(Grant) returns (Grant) {
    option (google.api.http) = {post: "/v1/plain" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
}

message Grant {
  string grant_type = 1 [json_name = "grant_type", (buf.validate.field).string.max_len = 10];
}
"""


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """Returns the contract."""
    return read(compile_image(CONTRACT, tmp_path))


@pytest.fixture
async def service(contract: Contract) -> AsyncIterator[Backend]:
    """Returns a service that answers with the request."""
    async with backend_of(contract.registry) as backend:
        yield backend


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidArgument("", reason="INVALID_GRANT"), "invalid_grant"),
        (InvalidArgument("", reason="UNSUPPORTED_GRANT_TYPE"), "unsupported_grant_type"),
        (InvalidArgument("", reason="INVALID_SCOPE"), "invalid_scope"),
        (PermissionDenied("", reason="UNAUTHORIZED_CLIENT"), "unauthorized_client"),
        (Unauthenticated("", reason="INVALID_CLIENT"), "invalid_client"),
        (Unauthenticated("", reason="TOKEN_INVALID"), "invalid_client"),
        (InvalidArgument("", reason="INVALID_FIELD"), "invalid_request"),
        (HttpError(413, "", "BODY_TOO_LARGE"), "invalid_request"),
        (ResourceExhausted("", reason="TOO_MANY_SIGN_INS"), "temporarily_unavailable"),
        (Unavailable(""), "temporarily_unavailable"),
        (Internal(""), "server_error"),
    ],
)
def test_every_error_has_a_code_of_oauth(error: MeshError, code: str) -> None:
    """The reason gives the code if OAuth 2.0 defines it, otherwise the status does."""
    assert oauth2_code(error) == code


@pytest.mark.parametrize(
    ("scheme", "challenge"), [(b"", b"Basic"), (b"Basic", b"Basic"), (b"Bearer", b'Bearer error="invalid_token"')]
)
def test_the_challenge_matches_the_scheme_of_the_client(scheme: bytes, challenge: bytes) -> None:
    """RFC 6749, section 5.2: 401 has the scheme that the client used, and Basic if it sent its secret in the body."""
    headers = dict(oauth2_reply(Unauthenticated("No.", reason="INVALID_CLIENT"), scheme).headers)
    assert headers[b"www-authenticate"].startswith(challenge)


async def test_errors_of_the_service_are_those_of_oauth(contract: Contract, service: Backend) -> None:
    """The status stays, the text keeps to the characters that RFC 6749 allows, and nothing may be cached."""
    fails(service, Code.INVALID_ARGUMENT, 'The "grant"\\\nis wröng.')
    async with edge_of(contract, service.port) as client:
        answer = await client.post(
            "/v1/token",
            data={"grant_type": "a"},
            headers={"accept": "application/problem+json, application/json;q=0.5"},
        )
        plain = await client.post("/v1/plain", data={"grant_type": "a"})
    expected = {"error": "invalid_request", "error_description": "The 'grant'/ is wr?ng."}
    assert (answer.status_code, answer.json()) == (400, expected)
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("application/json", "no-store")
    assert plain.json()["error"]["status"] == "INVALID_ARGUMENT"


@pytest.mark.parametrize(
    ("request_", "status", "text"),
    [
        ({"data": {"grant_type": "x" * 11}}, 400, "grant_type: must be at most 10 characters"),
        ({"content": "{", "headers": {"content-type": "application/json"}}, 400, ""),
        ({"content": "<a/>", "headers": {"content-type": "text/xml"}}, 415, ""),
        ({"data": {"grant_type": "x" * 2_000_000}}, 413, ""),
    ],
)
async def test_errors_of_the_edge_are_those_of_oauth(
    contract: Contract, service: Backend, request_: dict[str, Any], status: int, text: str
) -> None:
    """Errors of the edge itself are invalid_request, with their own status."""
    async with edge_of(contract, service.port) as client:
        answer = await client.post("/v1/token", **request_)
    assert (answer.status_code, answer.json().keys()) == (status, {"error", "error_description"})
    assert answer.json()["error"] == "invalid_request"
    assert answer.json()["error_description"].startswith(text)
    assert service.calls == []


async def test_a_rate_limit_is_an_error_of_oauth(contract: Contract, service: Backend) -> None:
    """The 429 has OAuth's shape and a Retry-After."""
    async with edge_of(contract, service.port) as client:
        await client.post("/v1/limited", data={})
        answer = await client.post("/v1/limited", data={})
    assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


async def test_other_protocols_keep_their_errors(contract: Contract, service: Backend) -> None:
    """Connect has a format of its own, with the reason in ErrorInfo."""
    fails(service, Code.INVALID_ARGUMENT, "No.")
    async with edge_of(contract, service.port) as client:
        answer = await client.post("/tokens.v1.Tokens/Issue", json={}, headers={"connect-protocol-version": "1"})
    assert answer.json() == {"code": "invalid_argument", "message": "No."}


def test_the_document_shows_the_format(contract: Contract) -> None:
    """Only methods with the policy have the schema, and their examples match it."""
    document = json.loads(b"".join(documents_of(contract).pieces()))
    responses = document["paths"]["/v1/token"]["post"]["responses"]
    content = responses["400"]["content"]
    assert content.keys() == {"application/json"}
    assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/OAuth2Error"}
    assert content["application/json"]["example"]["error"] == "invalid_grant"
    assert set(document["components"]["schemas"]["OAuth2Error"]["required"]) == {"error", "error_description"}
    plain = document["paths"]["/v1/plain"]["post"]["responses"]
    assert plain["400"] == {"$ref": "#/components/responses/400"}
