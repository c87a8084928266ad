"""Conditional requests: entity-tags in every coding, lists of tags, and headers for caches."""

import json
from typing import Any

import grpc
import pytest

from edge.contract.contract import Contract
from edge.http.entity_tags import ANY, etag_of, parse_tags, strong_tag, tag_in_coding
from tests.edge.backend import Backend, Context, Received
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
