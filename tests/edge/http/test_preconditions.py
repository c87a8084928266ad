"""Conditional requests: entity-tags in every coding, lists of tags, and headers for caches."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from googleapis.google.rpc.error_details_pb import ErrorInfo, RetryInfo
from googleapis.google.rpc.status_pb import Status
from protobuf import wkt

from edge.contract.contract import Contract, read
from edge.http.entity_tags import ANY, etag_of, parse_tags, strong_tag, tag_in_coding
from mesh.errors import Code
from tests.edge.backend import Backend, Context, Received, backend_of
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of

BOOK = "library.v1.Book"
GET = "/v1/shelves/a/books/b"
CODINGS = ["gzip", "br", "zstd", "identity"]
ETAGS = ["7", "a,b", 'a"b', "a-gzip", "a-br-gzip", "x%2Dgzip", "ä\x00 ", "", "W/7", "-gzip", "%", "a\\"]


@pytest.mark.parametrize("etag", ETAGS)
@pytest.mark.parametrize("coding", CODINGS)
def test_a_tag_identifies_its_etag_in_every_coding(etag: str, coding: str) -> None:
    """An etag of any characters is read back from its tag, weak or strong, in every coding."""
    tag = strong_tag(etag) if coding == "identity" else tag_in_coding(strong_tag(etag), coding)
    assert etag_of(tag) == etag_of(b"W/" + tag) == etag
    assert parse_tags(tag + b', W/"other" ,, ' + tag) == [tag, b'W/"other"', tag]


def test_tags_of_different_versions_or_codings_differ() -> None:
    """Tags of different etags and codings differ, also if an etag ends like a coding's suffix."""
    tags = [tag_in_coding(strong_tag(etag), coding) for etag in ETAGS for coding in CODINGS[:3]] + [
        *map(strong_tag, ETAGS)
    ]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("header", [b"", b"a", b'"a', b'"a" "b"', b'*, "a"', b'w/"a"', b'"a b"', b'"a"; "b"'])
def test_a_malformed_list_of_tags_raises(header: bytes) -> None:
    """A malformed list raises ValueError, even if a part of it is a tag."""
    with pytest.raises(ValueError, match="is not a list"):
        parse_tags(header)
    assert parse_tags(b" * ") == [ANY]


CONTRACT = """
syntax = "proto3";
package files.v1;

import "google/api/annotations.proto";
import "google/api/httpbody.proto";
import "meshwright/policy/v1/policy.proto";

service Files {
  rpc Resource(Thing) returns (Thing) {
    option (google.api.http) = {get: "/v1/resource" additional_bindings {post: "/v1/resource"}};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc Raw(Thing) returns (google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/raw" additional_bindings {post: "/v1/raw"}};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc File(Thing) returns (stream google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/file" additional_bindings {post: "/v1/file"}};
    option (meshwright.policy.v1.method) = {public: true};
  }
}

message Thing { string etag = 1; }
"""


@pytest.fixture(scope="module")
def contract(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """Returns a contract with all kinds of replies that have a tag."""
    return read(compile_image(CONTRACT, tmp_path_factory.mktemp("files")))


@pytest.fixture(scope="module")
async def _store(contract: Contract) -> AsyncIterator[Backend]:
    async with backend_of(contract.registry, ["/files.v1.Files/File"]) as backend:
        yield backend


@pytest.fixture
def store(_store: Backend) -> Backend:
    """Returns a backend that gives the tag and the date of each response in its metadata."""
    metadata = (("etag", '"own"'), ("last-modified", MODIFIED))

    async def answer(received: Received, context: Context) -> bytes:
        await context.send_initial_metadata(metadata)
        return _store.message("files.v1.Thing", '{"etag": "7"}').to_binary() if "Resource" in received.path else b""

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata(metadata)
        yield b""

    _store.answer, _store.stream = answer, stream
    return _store


@pytest.fixture(scope="module")
async def files(contract: Contract, _store: Backend) -> AsyncIterator[Client]:
    """Returns a client of an edge that passes the tag and the date of responses on."""
    async with edge_of(contract, _store.port, response_headers="etag,last-modified") as client:
        yield client


class Shelf:
    """A service with one book, which it updates only with the current etag (AIP-154)."""

    def __init__(self, backend: Backend, etag: str, size: int) -> None:
        self.backend = backend
        self.etag = etag
        self.text = "x" * size
        self.changes = 0
        backend.answer = self.answer

    async def answer(self, received: Received, context: Context) -> bytes:
        """Handles GetBook and UpdateBook."""
        if received.path.endswith("/UpdateBook"):
            request: Any = json.loads(self.backend.received("library.v1.UpdateBookRequest"))
            if request["book"].get("etag", self.etag) != self.etag:
                await context.abort(grpc.StatusCode.ABORTED, "The book has changed.")
            self.changes += 1
        return self.backend.message(BOOK, json.dumps({"title": self.text, "etag": self.etag})).to_binary()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("etag", ["7", 'a,"b', "a-gzip"])
@pytest.mark.parametrize("size", [10, 5000])
async def test_a_compressed_read_can_be_followed_by_an_update(
    client: Client, backend: Backend, coding: str, etag: str, size: int
) -> None:
    """A PATCH with the tag of a compressed GET succeeds, and one with the tag of an old version fails."""
    shelf = Shelf(backend, etag, size)
    read = await client.get(GET, headers={"accept-encoding": coding})
    tag = read.headers["etag"]
    assert ("content-encoding" in read.headers) is (size > 1000 and coding != "identity")
    assert not tag.startswith("W/")
    for sent in (tag, f"W/{tag}", f'"other", {tag}', f'"1", "2", {tag}, "3"', "*"):
        changed = await client.patch(GET, json={"pageCount": 1}, headers={"if-match": sent})
        assert changed.status_code == 200, changed.text
    assert shelf.changes == 5
    shelf.etag = "another"
    stale = await client.patch(GET, json={"pageCount": 1}, headers={"if-match": f"{tag}, {tag}"})
    error = stale.json()["error"]
    assert (stale.status_code, error["code"], error["status"]) == (412, 412, "ABORTED")
    assert error["message"] == "The book has changed."
    conflict = await client.patch(GET, json={"pageCount": 1, "etag": etag})
    assert (conflict.status_code, shelf.changes) == (409, 5)


@pytest.mark.parametrize("sent", ['"7"', '"7", "8"', "*"])
@pytest.mark.parametrize("retry", [RetryInfo(), RetryInfo(retry_delay=wkt.Duration(seconds=3))])
async def test_a_conflict_that_passes_is_no_mismatch(
    client: Client, backend: Backend, sent: str, retry: RetryInfo
) -> None:
    """ABORTED with RetryInfo, as for a lock, stays 409 with Retry-After, and no other version is tried."""
    details = [wkt.Any.pack(ErrorInfo(reason="LOCKED", domain="a.example")), wkt.Any.pack(retry)]
    status = Status(code=int(Code.ABORTED), message="Try again.", details=details).to_binary()

    async def answer(_: Received, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.ABORTED, "Try again.", (("grpc-status-details-bin", status),))

    backend.answer = answer
    response = await client.patch(GET, json={"pageCount": 1}, headers={"if-match": sent})
    assert (response.status_code, response.json()["error"]["code"]) == (409, 409)
    assert response.headers["retry-after"] == ("3" if retry.retry_delay else "1")
    assert len(backend.calls) == 1


@pytest.mark.parametrize(("headers", "settings"), [({"x-server-timeout": "0.5"}, {}), ({}, {"call_timeout_s": 0.5})])
async def test_all_versions_share_one_deadline(
    library: Contract, backend: Backend, headers: dict[str, str], settings: dict[str, Any]
) -> None:
    """Each attempt has the time that is left, whether the client or the contract sets the deadline."""

    async def answer(_: Received, context: Context) -> bytes:
        await asyncio.sleep(0.3)
        await context.abort(grpc.StatusCode.ABORTED, "The book has changed.")

    backend.answer = answer
    async with edge_of(library, backend.port, **settings) as client:
        versions = {"if-match": '"1", "2", "3", "4"'}
        response = await client.patch(GET, json={"pageCount": 1}, headers={**versions, **headers})
    assert (response.status_code, response.json()["error"]["status"]) == (504, "DEADLINE_EXCEEDED")


@pytest.mark.parametrize("etag", ["7", ""])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_cache_with_the_current_version_gets_304(
    library: Contract, backend: Backend, method: str, coding: str, etag: str
) -> None:
    """The 304 has the headers in RFC 9110, section 15.4.5; a tag of another coding gets the full reply."""
    Shelf(backend, etag, 5000)
    async with edge_of(library, backend.port, cors_origins="https://a.example") as client:
        headers = {"accept-encoding": coding}
        full = await client.request(method, GET, headers=headers)
        tag = full.headers["etag"]
        opaque = tag.removeprefix("W/")
        for sent in (tag, opaque, f"W/{opaque}", f'"other", {tag}', "*"):
            known = await client.request(method, GET, headers={**headers, "if-none-match": sent})
            assert (known.status_code, known.content) == (304, b"")
            for name in ("etag", "vary", "cache-control"):
                assert known.headers.get_list(name) == full.headers.get_list(name)
            assert not [name for name in known.headers if name.startswith("content-")]
        other = "br" if coding == "gzip" else "gzip"
        for sent, accepted in ((tag, other), ('"other"', coding), ("7", coding), ("", coding)):
            again = await client.request(method, GET, headers={"accept-encoding": accepted, "if-none-match": sent})
            assert again.status_code == 200
    assert "accept-encoding" in full.headers["vary"]
    assert "origin" in full.headers["vary"]


async def test_a_read_of_a_version(client: Client, backend: Backend) -> None:
    """If-Match on a read fails with 412 for another version, before If-None-Match is evaluated (section 13.2.2)."""
    Shelf(backend, "7", 10)
    for good in ('"7"', '"7-gzip"', '"6", "7"', "*"):
        assert (await client.get(GET, headers={"if-match": good})).status_code == 200
    gone = await client.get(GET, headers={"if-match": '"6"', "if-none-match": '"7"'})
    assert (gone.status_code, gone.json()["error"]["details"][0]["reason"]) == (412, "PRECONDITION_FAILED")
    assert (await client.get(GET, headers={"if-match": "7"})).status_code == 400


async def test_an_etag_from_the_service_metadata(library: Contract, backend: Backend) -> None:
    """An etag in allowed response metadata is the only tag of the reply, and is used for preconditions."""
    own = (("etag", '"own"'), ("cache-control", "max-age=5"))
    backend.replies(backend.message(BOOK, '{"etag": "7"}'), own)
    async with edge_of(library, backend.port, response_headers="etag,cache-control") as client:
        full = await client.get(GET)
        known = await client.get(GET, headers={"if-none-match": '"own"'})
    assert full.headers.get_list("etag") == ['"own"']
    assert full.headers.get_list("cache-control") == ["max-age=5"]
    assert known.status_code == 304


MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
BEFORE = ["Sun, 31 Dec 2023 23:59:59 GMT", "Sunday, 31-Dec-23 23:59:59 GMT", "Sun Dec 31 23:59:59 2023"]
SINCE = [MODIFIED, "Tue, 02 Jan 2024 00:00:00 GMT", "Tuesday, 02-Jan-24 00:00:00 GMT", "Tue Jan  2 00:00:00 2024"]
NO_DATES = [
    "",
    "2024-01-01",
    "Mon, 01 Jan 2024 00:00:00 +0000",
    "Mon, 99 Jan 2024 00:00:00 GMT",
    f"{MODIFIED}, x",
    "\xff",
]


@pytest.mark.parametrize("kind", ["resource", "raw", "file"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if-match": '"own"'}, 200),
        ({"if-match": '"7", "own-gzip"'}, 200),
        ({"if-match": "*"}, 200),
        ({"if-match": '"7"'}, 412),
        ({"if-match": '"7"', "if-none-match": '"own"'}, 412),
        ({"if-match": '"own"', "if-none-match": '"own"'}, 304),
        ({"if-match": '"own"', "if-unmodified-since": BEFORE[0]}, 200),
        ({"if-match": "own"}, 400),
        *(({"if-unmodified-since": date}, 412) for date in BEFORE),
        *(({"if-unmodified-since": date}, 200) for date in SINCE + NO_DATES),
        *(({"if-modified-since": date}, 200) for date in BEFORE + NO_DATES),
        *(({"if-modified-since": date}, 304) for date in SINCE),
        ({"if-none-match": '"7"', "if-modified-since": SINCE[0]}, 200),
        ({"if-none-match": '"own"', "if-modified-since": BEFORE[0]}, 304),
    ],
)
async def test_the_preconditions_of_every_kind_of_read(
    files: Client, store: Backend, kind: str, headers: dict[str, str], status: int
) -> None:
    """Preconditions of a resource, a raw body and a download are evaluated by the tag and the date that the reply has,
    in the order of section 13.2.2.
    """
    for method in ("GET", "HEAD"):
        encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        response = await files.request(method, f"/v1/{kind}", headers=encoded)
        assert response.status_code == status, response.text
        if status < 400:
            assert (response.headers["etag"], response.headers["last-modified"]) == ('"own"', MODIFIED)
    changed = await files.post(f"/v1/{kind}", headers={"if-unmodified-since": BEFORE[0]})
    assert changed.status_code == 200, "the change has been made"


async def test_a_read_without_a_tag_is_no_version(files: Client, store: Backend) -> None:
    """If-Match names no version of a reply without a tag, and dates do not count for one without a date."""
    store.replies(store.message("google.api.HttpBody", "{}"))
    assert (await files.get("/v1/raw", headers={"if-match": '"7"'})).status_code == 412
    for header in ("if-modified-since", "if-unmodified-since"):
        assert (await files.get("/v1/raw", headers={header: MODIFIED})).status_code == 200


async def test_errors_vary_by_accept(client: Client) -> None:
    """Errors have Vary: accept, because cacheable ones may be JSON or problem+json (RFC 9110, section 15.1)."""
    for accept in ("*/*", "application/problem+json"):
        assert "accept" in (await client.get("/v1/nothing", headers={"accept": accept})).headers.get_list("vary")


async def test_a_preflight_varies_by_its_request_headers(library: Contract, client: Client, backend: Backend) -> None:
    """If every origin is allowed, replies say so also to requests without an origin, because they may be cached."""
    async with edge_of(library, backend.port, cors_origins="*") as open_to_all:
        plain = await open_to_all.options(GET)
        read = await open_to_all.get(GET)
    assert plain.headers["vary"] == "access-control-request-method, access-control-request-headers"
    assert read.headers["access-control-allow-origin"] == "*"
    assert "vary" not in (await client.options(GET)).headers
