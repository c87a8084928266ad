"""Large bodies in every protocol: rejected for their size before their content is checked, while others are served."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import brotli
import pytest

from edge.contract.contract import read
from tests.edge.backend import backend_of
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of

CONTRACT = """
syntax = "proto3";
package large.v1;
import "buf/validate/validate.proto";
import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";

service Large {
  rpc Bounded(BoundedRequest) returns (BoundedRequest) {
    option (google.api.http) = {post: "/v1/bounded" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Free(FreeRequest) returns (FreeRequest) {
    option (google.api.http) = {post: "/v1/free" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Collect(stream BoundedRequest) returns (BoundedRequest) {
    option (google.api.http) = {post: "/v1/collect" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Ping(BoundedRequest) returns (BoundedRequest) {
    option (google.api.http) = {get: "/v1/ping"};
    option (meshwright.policy.v1.method) = {public: true};
  }
}

message BoundedRequest {
  repeated string names = 1 [
    (buf.validate.field).repeated = {max_items: 100 items: {string: {pattern: "^[a-z]+$" max_len: 20}}}
  ];
}

message FreeRequest {
  repeated string names = 1 [(buf.validate.field).repeated.items.string.min_len = 1];
  repeated Line lines = 2 [(buf.validate.field).cel = {
    id: "lines.unique" message: "must differ" expression: "this.map(line, line.product).unique()"
  }];
}

message Line { string product = 1; }
"""
JSON, PROTO = {"content-type": "application/json"}, {"content-type": "application/proto"}
BOMB = brotli.compress(b"\n\x011" * 349_000)  # 16 bytes
BROTLI, GZIP = {"content-encoding": "br"}, {"content-encoding": "gzip"}


@pytest.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """Returns a client of an edge of this contract, in front of a backend that answers with the request."""
    contract = read(compile_image(CONTRACT, tmp_path_factory.mktemp("large")))
    async with backend_of(contract.registry) as backend, edge_of(contract, backend.port) as client:
        yield client


def names(count: int, name: bytes = b"1") -> bytes:
    """Returns JSON with this many names."""
    return b'{"names":[' + b",".join([b'"%s"' % name] * count) + b"]}"


def lines(count: int) -> bytes:
    """Returns JSON with this many lines, each of another product."""
    return json.dumps({"lines": [{"product": str(number)} for number in range(count)]}).encode()


async def answered(client: Client, path: str, content: bytes, headers: dict[str, str]) -> tuple[int, str, str]:
    """Sends a body while others ask. Returns the status, and the first violation's field and reason, or the reason of
    the error.
    """
    response, *others = await asyncio.gather(
        client.post(path, content=content, headers=headers), *(client.get("/v1/ping?names=a") for _ in range(5))
    )
    assert [other.status_code for other in others] == [200] * 5
    if response.status_code == 200:
        return 200, "", ""
    error = response.json()
    details = error["error"]["details"] if "error" in error else [each["debug"] for each in error.get("details", [])]
    violations = [violation for detail in details for violation in detail.get("fieldViolations", [])]
    if violations:
        return response.status_code, violations[0]["field"], violations[0]["reason"]
    return response.status_code, "", next((detail["reason"] for detail in details if "reason" in detail), "")


@pytest.mark.parametrize(
    ("path", "content", "headers", "expected"),
    [
        ("/v1/bounded", names(10_000), JSON, (400, "names", "REPEATED_MAX_ITEMS")),
        ("/v1/bounded", b'{"names":[' + b"0," * 10_000 + b"0]}", JSON, (400, "names", "REPEATED_MAX_ITEMS")),
        ("/v1/bounded", names(100_000), JSON, (413, "", "BODY_TOO_LARGE")),
        ("/v1/bounded", brotli.compress(names(200_000)), {**JSON, **BROTLI}, (413, "", "BODY_TOO_LARGE")),
        ("/v1/bounded", gzip.compress(names(10_000)), {**JSON, **GZIP}, (400, "names", "REPEATED_MAX_ITEMS")),
        ("/large.v1.Large/Bounded", names(10_000), JSON, (400, "names", "REPEATED_MAX_ITEMS")),
        ("/large.v1.Large/Bounded", b"\n\x011" * 20_000, PROTO, (400, "names", "REPEATED_MAX_ITEMS")),
        ("/large.v1.Large/Bounded", BOMB, {**PROTO, **BROTLI}, (429, "", "BODY_TOO_LARGE")),
        ("/v1/free", names(200_000, b""), JSON, (400, "names[0]", "STRING_MIN_LEN")),
        ("/v1/free", names(200_000), JSON, (200, "", "")),
        ("/v1/free", b'{"names":[' + b"0," * 400_000 + b"0]}", JSON, (400, "names[0]", "INVALID_VALUE")),
        ("/v1/free", lines(20_000), JSON, (400, "lines", "RULE_NOT_EVALUATED")),
        ("/large.v1.Large/Free", lines(20_000), JSON, (400, "lines", "RULE_NOT_EVALUATED")),
        ("/large.v1.Large/Free", b"\n\x00" * 500_000, PROTO, (400, "names[0]", "STRING_MIN_LEN")),
        ("/v1/free", b'{"lines":[' + b"{}," * 300_000 + b"{}]}", JSON, (400, "lines", "RULE_NOT_EVALUATED")),
        ("/v1/free", b"{" + b'"a":1,' * 150_000 + b'"a":1}', JSON, (400, "a", "FIELD_GIVEN_TWICE")),
        ("/v1/free", b'{"names":' + b"[" * 400_000 + b"]" * 400_000 + b"}", JSON, (400, "body", "MALFORMED_JSON")),
    ],
    ids=range(17),
)
async def test_a_large_body_is_rejected_for_its_size(
    client: Client, path: str, content: bytes, headers: dict[str, str], expected: tuple[int, str, str]
) -> None:
    """The first violation is the size, and other requests are answered meanwhile."""
    assert await answered(client, path, content, headers) == expected


async def test_messages_of_a_stream_have_the_limit_of_their_contract(client: Client) -> None:
    """A line may be no larger than a body."""
    line = names(20_000) + b"\n"
    response = await client.post("/v1/collect", content=line, headers={"content-type": "application/x-ndjson"})
    assert (response.status_code, response.json()["error"]["details"][0]["reason"]) == (413, "MESSAGE_TOO_LARGE")


async def test_frames_of_grpc_web_have_the_limit_of_their_contract(client: Client) -> None:
    """A frame that is too large is rejected before it is read."""
    frame = b"\0" + (300_000).to_bytes(4, "big") + b"\n\x011" * 100_000
    headers = {"content-type": "application/grpc-web+proto"}
    response = await client.post("/large.v1.Large/Bounded", content=frame, headers=headers)
    assert b"grpc-status: 8" in response.content
