"""google/api/http.proto, statement by statement: what each of its examples and rules does over the wire.

The order is that of the comment on HttpRule. AIP-127 adds nothing to it but advice for those who write rules.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.contract.contract import Contract, read
from tests.edge.backend import Backend, backend_of
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of

MESSAGING = """
syntax = "proto3";
package messaging.v1;

import "google/api/annotations.proto";
import "google/protobuf/wrappers.proto";

service Messaging {
  rpc GetByName(Request) returns (Request) {
    option (google.api.http) = {get: "/named/{name=messages/*}"};
  }
  rpc Get(Request) returns (Request) {
    option (google.api.http) = {
      get: "/v1/messages/{message_id}"
      additional_bindings {get: "/v1/users/{user_id}/messages/{message_id}"}
    };
  }
  rpc Update(Request) returns (Request) {
    option (google.api.http) = {
      patch: "/v1/messages/{message_id}" body: "message"
      additional_bindings {put: "/v1/messages/{message_id}" body: "*"}
      additional_bindings {post: "/v1/messages/{message_id}/{sub.subfield}"}
      additional_bindings {post: "/v1/list" body: "list" response_body: "list"}
      additional_bindings {post: "/v1/labels" body: "labels" response_body: "labels"}
      additional_bindings {post: "/v1/revision" body: "revision" response_body: "revision"}
      additional_bindings {post: "/v1/subs" body: "subs" response_body: "subs"}
    };
  }
  rpc Templates(Request) returns (Request) {
    option (google.api.http) = {
      get: "/one/*/end"
      additional_bindings {get: "/rest/**"}
      additional_bindings {get: "/rest/**:verb"}
      additional_bindings {get: "/single/{name}"}
      additional_bindings {get: "/starred/{name=*}"}
      additional_bindings {get: "/several/{name=a/*}"}
      additional_bindings {get: "/all/{name=**}"}
      additional_bindings {get: "/all/{name=**}:verb"}
      additional_bindings {get: "/literal/a%20b.c"}
      additional_bindings {get: "/wrapped/{wrapped.value}"}
    };
  }
  rpc Methods(Request) returns (Request) {
    option (google.api.http) = {
      get: "/methods"
      additional_bindings {put: "/methods"}
      additional_bindings {post: "/methods"}
      additional_bindings {delete: "/methods"}
      additional_bindings {patch: "/methods"}
      additional_bindings {custom: {kind: "SEARCH" path: "/methods"}}
      additional_bindings {custom: {kind: "HEAD" path: "/head"}}
      additional_bindings {custom: {kind: "*" path: "/pages/{name=**}"}}
    };
  }
}

message Request {
  string name = 1;
  string message_id = 2;
  string user_id = 3;
  int64 revision = 4;
  Sub sub = 5;
  Message message = 6;
  repeated string list = 7;
  map<string, string> labels = 8;
  repeated Sub subs = 9;
  repeated int32 numbers = 10;
  google.protobuf.StringValue wrapped = 11;
}

message Sub {
  string subfield = 1;
  Sub sub = 2;
  repeated string many = 3;
}

message Message {
  string text = 1;
}
"""

REQUEST = "messaging.v1.Request"


@pytest.fixture(scope="module")
def messaging(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """The contract that the comment's examples are about."""
    return read(compile_image(MESSAGING, tmp_path_factory.mktemp("messaging")))


@pytest.fixture(scope="module")
async def backend(messaging: Contract) -> AsyncIterator[Backend]:
    """A backend that answers with the request itself."""
    async with backend_of(messaging.registry) as backend:
        yield backend


@pytest.fixture(scope="module")
async def client(backend: Backend, messaging: Contract) -> AsyncIterator[Client]:
    """A client of an edge in front of it."""
    async with edge_of(messaging, backend.port) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "url", "body", "rpc", "message"),
    [
        ("GET", "/named/messages/123456", None, "GetByName", {"name": "messages/123456"}),
        (
            "GET",
            "/v1/messages/123456?revision=2&sub.subfield=foo",
            None,
            "Get",
            {"messageId": "123456", "revision": "2", "sub": {"subfield": "foo"}},
        ),
        ("GET", "/v1/messages/1?list=A&list=B", None, "Get", {"messageId": "1", "list": ["A", "B"]}),
        ("GET", "/v1/messages/1?sub.sub.subfield=", None, "Get", {"messageId": "1", "sub": {"sub": {}}}),
        ("GET", "/v1/messages/1?sub.many=a&sub.many=b", None, "Get", {"messageId": "1", "sub": {"many": ["a", "b"]}}),
        ("GET", "/v1/users/me/messages/123456", None, "Get", {"messageId": "123456", "userId": "me"}),
        (
            "PATCH",
            "/v1/messages/123456",
            {"text": "Hi!"},
            "Update",
            {"messageId": "123456", "message": {"text": "Hi!"}},
        ),
        (
            "PATCH",
            "/v1/messages/123456?revision=2",
            {},
            "Update",
            {"messageId": "123456", "message": {}, "revision": "2"},
        ),
        (
            "PUT",
            "/v1/messages/123456",
            {"message": {"text": "Hi!"}, "userId": "me"},
            "Update",
            {"messageId": "123456", "message": {"text": "Hi!"}, "userId": "me"},
        ),
        ("POST", "/v1/messages/1/foo", None, "Update", {"messageId": "1", "sub": {"subfield": "foo"}}),
    ],
)
async def test_the_examples(
    client: Client, backend: Backend, method: str, url: str, body: Any, rpc: str, message: Any
) -> None:
    """Each HTTP request leads to the gRPC request in the comment."""
    response = await client.request(method, url, json=body)
    assert (response.status_code, response.json()) == (200, message)
    assert backend.calls[-1].path == f"/messaging.v1.Messaging/{rpc}"


async def test_fields_go_by_path_by_body_and_else_by_query(client: Client) -> None:
    """Rule 1: three disjoint classes. A field in the path or the body is not a query parameter, under any name."""
    for key in ("message_id", "messageId"):
        assert await client.violations("GET", f"/v1/messages/1?{key}=2") == {key: "FIELD_GIVEN_TWICE"}
    assert await client.violations("PATCH", "/v1/messages/1?message.text=a", json={}) == {
        "message.text": "FIELD_IN_BODY"
    }
    assert await client.violations("POST", "/v1/messages/1/foo?sub.subfield=a") == {"sub.subfield": "FIELD_GIVEN_TWICE"}


async def test_a_part_that_the_path_binds_is_not_replaced_with_the_whole(client: Client) -> None:
    """A message that text can stand for holds the path's value too."""
    assert (await client.get("/wrapped/a")).json() == {"wrapped": "a"}
    assert await client.violations("GET", "/wrapped/a?wrapped=b") == {"wrapped": "FIELD_GIVEN_TWICE"}


async def test_the_whole_body_leaves_no_parameters(client: Client) -> None:
    """Rule 2: with body "*" there is no query."""
    assert await client.violations("PUT", "/v1/messages/1?revision=1", json={}) == {"revision": "FIELD_IN_BODY"}


async def test_without_body_there_is_none(client: Client) -> None:
    """Rule 3: if the rule has no body, requests have no body, or an empty message."""
    assert (await client.post("/v1/messages/1/foo", json={"text": "a"})).status_code == 400
    assert (await client.post("/v1/messages/1/foo", json={})).status_code == 200
    assert (await client.post("/v1/messages/1/foo", content=b"")).status_code == 200


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/one/x/end", ""),
        ("/rest", ""),
        ("/rest/a/b", ""),
        ("/rest/a/b:verb", ""),
        ("/single/a", "a"),
        ("/starred/a", "a"),
        ("/single/a%20b%2Fc%2fd%3Fe%23f", "a b/c/d?e#f"),
        ("/starred/%41%2F", "A/"),
        ("/single/a-_.~b", "a-_.~b"),
        ("/single/a:b", "a:b"),
        ("/single/%3A", ":"),
        ("/single/a+b", "a+b"),
        ("/single/%E2%82%AC", "€"),
        ("/several/a/b%20c", "a/b c"),
        ("/several/a/b%2Fc%2fd", "a/b%2Fc%2fd"),
        ("/all/", ""),
        ("/all", ""),
        ("/all/a/b/c", "a/b/c"),
        ("/all/a%2Fb/%3F", "a%2Fb/?"),
        ("/all/a/b:verb", "a/b"),
        ("/all/a/b:other", "a/b:other"),
        ("/all/%252F", "%2F"),
        ("/literal/a%20b.c", ""),
        ("/literal/%61%20b%2Ec", ""),
    ],
)
async def test_the_syntax_of_templates(client: Client, path: str, name: str) -> None:
    """`*` is one segment, `**` any number, a verb ends the path; one segment is decoded whole, several keep %2F."""
    response = await client.get(path)
    assert (response.status_code, response.json()) == (200, {"name": name} if name else {})


@pytest.mark.parametrize(
    "path",
    [
        *("/one/end", "/one//end", "/one/x/y/end", "/one/x/end/", "/single/", "/single/a/b", "/several/a"),
        *("/several/a/", "/several/b/c", "/literal/a b.cd", "/literal/a%20bxc", "/named/messages/a/b", "/Single/a"),
        *("/rest:other", ""),
    ],
)
async def test_what_the_templates_do_not_match(client: Client, path: str) -> None:
    """Empty segments do not match, a dot matches only itself, and letters are case-sensitive."""
    assert (await client.get(path, headers={"accept": "application/json"})).status_code == 404


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "PATCH", "SEARCH"])
async def test_every_pattern(client: Client, method: str) -> None:
    """The five methods that have a name of their own, and a custom one."""
    assert (await client.request(method, "/methods?name=a")).json() == {"name": "a"}


async def test_custom_patterns(client: Client) -> None:
    """HEAD on its own, and the wildcard that leaves the method open."""
    head = await client.head("/head?name=a")
    assert (head.status_code, head.content) == (200, b"")
    assert (await client.get("/head")).status_code == 405
    for method in ("GET", "POST", "DELETE", "PURGE", "REPORT"):
        assert (await client.request(method, "/pages/a/b.html")).json() == {"name": "a/b.html"}


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/list", ["a", "b"]),
        ("/v1/list", []),
        ("/v1/labels", {"a": "b"}),
        ("/v1/labels", {}),
        ("/v1/revision", "9007199254740993"),
        ("/v1/revision", "0"),
        ("/v1/subs", [{"subfield": "a"}, {}, {"sub": {"many": ["b"]}}]),
    ],
)
async def test_bodies_of_one_field(client: Client, url: str, body: Any) -> None:
    """A request or response body can be any field: lists, maps and scalars too, written as ever."""
    response = await client.post(url, content=json.dumps(body), headers={"content-type": "application/json"})
    assert (response.status_code, response.json()) == (200, body)


async def test_repeated_messages_are_no_parameters(client: Client) -> None:
    """A repeated message can't be set by query: neither as a whole, nor by field, nor by index."""
    for key in ("subs", "subs.subfield", "subs[0].subfield", "subs[0]"):
        assert await client.violations("GET", f"/v1/messages/1?{key}=a") == {key: "FIELD_UNKNOWN"}


def problems(tmp_path: Any, rule: str) -> list[str]:
    """Returns the problem of a rule for a method of the messaging service."""
    before, after = MESSAGING.split('{get: "/named/{name=messages/*}"}')
    contract = read(compile_image(f"{before}{{{rule}}}{after}", tmp_path))
    return [problem.why for problem in contract.problems if problem.fatal]


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ('get: "/x/{list}"', "repeated"),
        ('get: "/x/{labels}"', "repeated"),
        ('get: "/x/{sub}"', "a message"),
        ('get: "/x/{subs.subfield}"', "not a message"),
        ('get: "/x/{sub.nope}"', "no field nope"),
        ('get: "/x/{messageId}"', "no field messageId"),
        ('get: "/x/{name={user_id}}"', "inside a variable"),
        ('get: "/x/{name}/{name}"', "already"),
        ('get: "x"', "expected '/'"),
        ('get: ""', "expected '/'"),
        ('post: "/x" body: "sub.subfield"', "no field sub.subfield"),
        ('post: "/x/{name}" body: "name"', "both the body and a variable"),
        ('get: "/x" response_body: "message.text"', "no field message.text"),
        ('body: "*"', "no HTTP method"),
        ('get: "/x" additional_bindings {get: "/y" additional_bindings {get: "/z"}}', "nested"),
        ('custom: {path: "/x"}', "no HTTP method"),
        ('custom: {kind: "A B" path: "/x"}', "'A B' can't be an HTTP method"),
    ],
)
def test_what_a_rule_must_not_do(tmp_path: Any, rule: str, why: str) -> None:
    """Variables are leaves that are there once; a body is a field of the top; bindings nest one level deep."""
    assert [found for found in problems(tmp_path, rule) if why in found], problems(tmp_path, rule)
