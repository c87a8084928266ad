"""The replies to response messages."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from googleapis.google.api.httpbody_pb import HttpBody
from meshwright.policy.v1.policy_pb import HttpResponse
from protobuf.wkt import Any as AnyMessage

from edge.contract.contract import Contract, read
from tests.edge.backend import Backend, Context, Received, backend_of
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of

BOOK = "library.v1.Book"
LIST = "library.v1.ListBooksResponse"
FREE_JSON = """
syntax = "proto3";
package free.v1;

import "google/api/annotations.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/struct.proto";

service Free {
  rpc Read(google.protobuf.Empty) returns (Json) {
    option (google.api.http) = {
      get: "/v1/list" response_body: "list"
      additional_bindings {get: "/v1/value" response_body: "value"}
      additional_bindings {get: "/v1/struct" response_body: "struct"}
    };
  }
}

message Json {
  google.protobuf.ListValue list = 1;
  google.protobuf.Value value = 2;
  google.protobuf.Struct struct = 3;
}
"""
GET = "/v1/shelves/a/books/b"


async def test_a_reply_is_protojson(client: Client, backend: Backend) -> None:
    """Names are in lowerCamelCase, 64-bit integers are strings, defaults are left out; the body has its length and
    type.
    """
    backend.replies(backend.message(BOOK, '{"title": "Ü", "pageCount": 0, "price": {"units": "5"}}'))
    response = await client.get(GET)
    assert (response.status_code, response.json()) == (200, {"title": "Ü", "price": {"units": "5"}})
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(response.content))
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_the_contract_sets_the_status_of_a_success(client: Client) -> None:
    """A method that creates returns 201."""
    assert (await client.post("/v1/shelves/a/books", json={})).status_code == 201


async def test_a_field_can_be_the_whole_response(client: Client, backend: Backend) -> None:
    """response_body may be a list or a message, and has a value for either when it is absent."""
    backend.replies(backend.message(LIST, '{"titles": ["a", "b"], "first": {"title": "a"}}'))
    assert (await client.get("/v1/titles")).json() == ["a", "b"]
    assert (await client.get("/v1/first")).json() == {"title": "a"}
    backend.replies(backend.message(LIST))
    assert (await client.get("/v1/titles")).json() == []
    assert (await client.get("/v1/first")).json() == {}


async def test_absent_free_json_has_the_form_of_its_type(tmp_path: Path) -> None:
    """A ListValue is a list, as the OpenAPI document says, and a Value that has none is null, not an object."""
    contract = read(compile_image(FREE_JSON, tmp_path))
    async with backend_of(contract.registry) as backend, edge_of(contract, backend.port) as client:
        backend.replies(backend.message("free.v1.Json"))
        absent = {name: (await client.get(f"/v1/{name}")).json() for name in ("list", "value", "struct")}
    assert absent == {"list": [], "value": None, "struct": {}}


async def test_a_raw_response_is_passed_on_unchanged(client: Client, backend: Backend) -> None:
    """A google.api.HttpBody has its own type, or the default one if it is invalid, and Accept does not matter."""
    body = {"contentType": "image/x; q=1", "data": "AP8="}
    backend.replies(backend.message("google.api.HttpBody", json.dumps(body)))
    response = await client.put("/v1/files/a", content=b"x", headers={"accept": "image/x"})
    assert (response.content, response.headers["content-type"]) == (b"\x00\xff", "image/x; q=1")
    assert response.headers["cache-control"] == "no-store"
    backend.replies(backend.message("google.api.HttpBody", '{"contentType": "evil\\r\\nx: y", "data": "AP8="}'))
    assert (await client.put("/v1/files/a")).headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_a_chosen_status_without_content_ends_with_its_head(
    client: Client, backend: Backend, status: int
) -> None:
    """A client would take bytes behind the head for the reply to its next request: RFC 9112, section 6.3."""
    chosen = HttpResponse(status=status, headers={"location": "/b"})
    backend.replies(HttpBody(content_type="text/x", data=b"HTTP/1.1 200 OK", extensions=[AnyMessage.pack(chosen)]))
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    writer.write(b"PUT /v1/files/a HTTP/1.1\r\nhost: x\r\n\r\n")
    writer.write(b"GET /v1/nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"location: /b" in head
    assert b"\r\ncontent-type:" not in head
    assert rest.startswith(b"HTTP/1.1 404 ")


async def test_reads_have_etags(client: Client, backend: Backend) -> None:
    """A version that the client has is 304 without a body, by weak comparison; a tag can hold any value of the
    field.
    """
    backend.replies(backend.message(BOOK, '{"title": "T", "etag": "a\\"ü%"}'))
    tag = (await client.get(GET)).headers["etag"]
    assert tag == '"a%22%C3%BC%25"'
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        response = await client.get(GET, headers={"if-none-match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
    assert (await client.get(GET, headers={"if-none-match": '"x"'})).status_code == 200
    assert "etag" not in (await client.patch(GET, json={})).headers


async def test_head_is_get_without_a_body(client: Client, backend: Backend) -> None:
    """HEAD has the same status and headers, with the length."""
    backend.replies(backend.message(BOOK, '{"title": "T", "etag": "7"}'))
    got, head = await client.get(GET), await client.head(GET)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-length", "content-type", "etag", "cache-control"):
        assert head.headers[name] == got.headers[name]
    assert (await client.head("/v1/nothing")).status_code == 404


async def test_the_contract_sets_cache_control(client: Client, backend: Backend) -> None:
    """The header is max-age, no-store for zero, and no-cache if the contract sets nothing."""
    backend.replies(backend.message(LIST))
    assert (await client.get("/v1/shelves/a/books")).headers["cache-control"] == "public, max-age=30"
    backend.replies(backend.message(BOOK))
    assert (await client.get(GET)).headers["cache-control"] == "public, no-cache"
    assert "cache-control" not in (await client.post(f"{GET}:lend", json={})).headers


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 200),
        ("application/json", 200),
        ("application/*;q=0.1", 200),
        ("text/html, application/json;q=0.5", 200),
        ("text/html,*/*;q=0.1", 200),
        ("text/html", 406),
        ("application/json;q=0, */*", 406),
        ("application/*;q=0, application/json;q=0.2", 200),
        ("application/json;q=x", 406),
        ("", 200),
    ],
)
async def test_accept_is_honoured(client: Client, backend: Backend, accept: str, status: int) -> None:
    """The most specific range decides; the response is JSON or an error that names it."""
    backend.replies(backend.message(BOOK))
    response = await client.get(GET, headers={"accept": accept})
    assert response.status_code == status
    assert status == 200 or response.json()["error"]["details"][0]["reason"] == "NOT_ACCEPTABLE"


@pytest.mark.parametrize(
    ("settings", "written"),
    [
        ({"json_proto_names": True}, {"page_count": 1, "title": "T"}),
        ({"json_emit_defaults": True}, {"name": "", "pageCount": 1, "title": "T", "etag": "", "tags": []}),
    ],
)
async def test_the_style_of_json_is_a_setting(
    library: Contract, backend: Backend, settings: dict[str, Any], written: dict[str, Any]
) -> None:
    """Settings choose the contract's names and the output of default values."""
    backend.replies(backend.message(BOOK, '{"pageCount": 1, "title": "T"}'))
    async with edge_of(library, backend.port, **settings) as client:
        assert (await client.get(GET)).json() == written


async def test_enums_can_be_numbers(library: Contract, backend: Backend) -> None:
    """Enums are numbers for clients that don't know the names."""
    async with edge_of(library, backend.port, json_enums_as_numbers=True) as client:
        assert (await client.get("/v1/echo?kind=KIND_POEM")).json() == {"kind": 2}


async def test_response_metadata_has_an_allow_list(library: Contract, backend: Backend) -> None:
    """Listed metadata is sent as headers, binary values in base64; the rest is not sent."""
    backend.replies(backend.message(BOOK), (("x-shelf", "7"), ("x-raw-bin", b"\x00\xff"), ("x-secret", "no")))
    async with edge_of(library, backend.port, response_headers="x-shelf,x-raw-bin") as client:
        headers = (await client.get(GET)).headers
    assert (headers["x-shelf"], headers["x-raw-bin"], "x-secret" in headers) == ("7", "AP8=", False)


@pytest.mark.parametrize("sent", [b"\x08", b"\xff" * 20, b"\x12\x01\xff"])
async def test_an_invalid_response_is_a_bad_gateway(client: Client, backend: Backend, sent: bytes) -> None:
    """Bytes that are not a message, and strings that are not UTF-8, are an error of the service."""

    async def answer(_: Received, __: Context) -> bytes:
        return sent

    backend.answer = answer
    response = await client.get(GET)
    assert response.status_code == 502
    assert response.json()["error"]["details"][0]["reason"] == "BAD_RESPONSE"


async def test_a_page_links_to_the_next(client: Client, backend: Backend) -> None:
    """The link has the requested URL with the next token (RFC 8288); the last page has none."""
    backend.replies(backend.message(LIST, '{"nextPageToken": "a/b=="}'))
    for query in ("page_size=2&page_token=x", "pageToken=x&page_size=2", "page_size=2"):
        response = await client.get(f"/v1/shelves/a/books?{query}&$prettyPrint=true")
        link = response.headers["link"]
        assert link == '</v1/shelves/a/books?page_size=2&$prettyPrint=true&pageToken=a%2Fb%3D%3D>; rel="next"'
        assert response.links["next"]["url"] in link
    backend.replies(backend.message(LIST))
    assert "link" not in (await client.get("/v1/shelves/a/books")).headers


async def test_a_read_without_an_etag_gets_a_weak_one(client: Client, backend: Backend) -> None:
    """The tag changes with the content, and saves the transfer if that is unchanged."""
    backend.replies(backend.message(BOOK, '{"title": "T"}'))
    tag = (await client.get(GET)).headers["etag"]
    assert tag.startswith('W/"')
    assert (await client.get(GET, headers={"if-none-match": tag})).status_code == 304
    backend.replies(backend.message(BOOK, '{"title": "U"}'))
    changed = await client.get(GET, headers={"if-none-match": tag})
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)
