"""Compression of requests and replies."""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from edge.http.compression import SIZE_BYTES_MIN, THREAD_BYTES_MIN, negotiate, new_encoder
from edge.http.negotiation import BYTES_MAX, REMEMBERED_MAX, media_quality, preferred_coding
from tests.edge.backend import Backend
from tests.edge.requests import request_of
from tests.edge.served import Client

BOOK = "library.v1.Book"
GET = "/v1/shelves/a/books/b"
ENCODE = {"gzip": gzip.compress, "br": brotli.compress, "zstd": zstandard.compress}


def decoded(coding: str, body: bytes) -> bytes:
    """Decompresses a body."""
    match coding:
        case "gzip":
            return gzip.decompress(body)
        case "br":
            plain: bytes = brotli.decompress(body)
            return plain
        case _:
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("size", [SIZE_BYTES_MIN, THREAD_BYTES_MIN + 1])
async def test_a_large_reply_is_compressed_as_requested(
    client: Client, backend: Backend, coding: str, size: int
) -> None:
    """A compressed reply has the coding's headers, its own tag, and the same JSON, also if compressed in a thread."""
    backend.replies(backend.message(BOOK, json.dumps({"title": "x" * size, "etag": "1"})))
    async with client.stream("GET", GET, headers={"accept-encoding": coding}) as response:
        body = b"".join([piece async for piece in response.aiter_raw()])
    assert (response.headers["content-encoding"], response.headers["etag"]) == (coding, f'"1-{coding}"')
    assert response.headers["vary"] == "accept-encoding"
    assert int(response.headers["content-length"]) == len(body) < size
    assert json.loads(decoded(coding, body))["title"] == "x" * size


async def test_other_replies_are_not_compressed(client: Client, backend: Backend) -> None:
    """Small, incompressible and unrequested replies stay uncompressed and keep their strong tag."""
    every = {"accept-encoding": "gzip, br, zstd"}
    backend.replies(backend.message(BOOK, '{"etag": "1"}'))
    small = await client.get(GET, headers=every)
    backend.replies(backend.message(BOOK, json.dumps({"title": "x" * 5000, "etag": "1"})))
    unwanted = await client.get(GET, headers={"accept-encoding": "identity"})
    backend.replies(backend.message("google.api.HttpBody", json.dumps({"contentType": "image/x", "data": "A" * 8000})))
    raw = await client.put("/v1/files/a", headers=every)
    assert [("content-encoding" in each.headers, each.headers.get("vary")) for each in (small, unwanted, raw)] == [
        (False, None),
        (False, "accept-encoding"),
        (False, None),
    ]
    assert unwanted.headers["etag"] == '"1"'


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_each_piece_of_a_stream_can_be_decoded_at_once(coding: str) -> None:
    """The encoder flushes each piece, so that no message waits for the next."""

    headers = [(b"content-type", b"application/x-ndjson")]
    encoding = new_encoder(negotiate(200, headers, request_of("GET", {b"accept-encoding": coding.encode()}), None))
    first = encoding.encode(b'{"number": 1}\n')
    decoders: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: zlib.decompressobj(31).decompress(data),
        "br": lambda data: brotli.Decompressor().process(data),
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }
    assert decoders[coding](first) == b'{"number": 1}\n'
    whole = first + encoding.encode(b'{"number": 2}\n') + encoding.end()
    assert decoded(coding, whole) == b'{"number": 1}\n{"number": 2}\n'


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_compressed_requests(client: Client, backend: Backend, coding: str) -> None:
    """Compressed requests are decoded; corrupt, truncated and too large ones are rejected, including bombs."""
    encode, headers = ENCODE[coding], {"content-type": "application/json", "content-encoding": coding}
    body = encode(json.dumps({"text": "x" * 3000}).encode())
    good = await client.post("/v1/echo", content=body, headers=headers)
    cut = await client.post("/v1/echo", content=body[:-1], headers=headers)
    damaged = await client.post("/v1/echo", content=b"\x00" + body, headers=headers)
    trailed = await client.post("/v1/echo", content=body + b"more", headers=headers)
    bomb = await client.post("/v1/echo", content=encode(b" " * 100_000_000), headers=headers)
    assert good.json() == {"text": "x" * 3000}
    assert [each.status_code for each in (cut, damaged, trailed, bomb)] == [400, 400, 400, 413]
    assert bomb.json()["error"]["details"][0]["reason"] == "BODY_TOO_LARGE"
    assert len(backend.calls) == 1


@pytest.mark.parametrize(
    ("header", "coding"),
    [
        (b"", ""),
        (b"gzip", "gzip"),
        (b"gzip, br", "br"),
        (b"gzip, deflate, br, zstd", "zstd"),
        (b"GZIP;q=0.5, br;q=0.4", "gzip"),
        (b"*", "zstd"),
        (b"*;q=0, gzip", "gzip"),
        (b"gzip;q=0", ""),
        (b"gzip;q=0.2, identity;q=0.5", ""),
        (b"gzip;q=nonsense", ""),
        (b"deflate", ""),
    ],
)
def test_the_preferred_coding(header: bytes, coding: str) -> None:
    """The coding with the highest quality is used; the server breaks ties (RFC 9110, section 12.5.3)."""
    assert preferred_coding(header, ("zstd", "br", "gzip")) == coding


@pytest.mark.parametrize(
    ("header", "quality"),
    [
        (b"*/*", 1.0),
        (b"text/html, */*;q=0.1", 0.1),
        (b"application/*;q=0.5, */*", 0.5),
        (b"application/json;q=0, */*", 0.0),
        (b"text/html", 0.0),
        (b"application/json; version=1; q=0.3", 0.3),
    ],
)
def test_the_quality_of_a_media_type(header: bytes, quality: float) -> None:
    """The most specific media range applies (RFC 9110, section 12.5.1)."""
    assert media_quality(header, "application/json") == quality


def test_a_long_header_is_read_in_part() -> None:
    """The first ranges of a header apply, however many follow; an item that is cut off does not."""
    many = b", a" * 15_000
    assert media_quality(b"application/json" + many, "application/json") == 1
    assert preferred_coding(b"br, gzip;q=0.5" + many, ("gzip", "br")) == "br"
    assert media_quality(b"a" + many + b", application/json", "application/json") == 0
    assert preferred_coding(b"a" + many + b", gzip", ("gzip", "br")) == ""
    before = b"a" * (BYTES_MAX - len(b",application/json;q=0"))
    assert media_quality(before + b",application/json;q=0.5", "application/json") == 0


def test_a_long_header_is_remembered_in_part() -> None:
    """The caches of parsed headers have a limit in bytes."""
    long = b"text/html" + b", a" * 10_000
    media_quality(long, "application/json")  # what the first of its kind makes stays
    tracemalloc.start()
    for number in range(REMEMBERED_MAX):
        media_quality(b"text/%d, " % number + long, "application/json")
        preferred_coding(b"br;q=0.%d, " % number + long, ("gzip", "br"))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 4 * REMEMBERED_MAX * BYTES_MAX
