"""Files as streams of google.api.HttpBody, down and up, in constant memory."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from typing import Any

import grpc
import psutil
import pytest

from edge.contract.contract import Contract
from tests.edge.backend import Backend, Context
from tests.edge.protocols.rest.wire import Wire, wire
from tests.edge.served import Client, edge_of

PIECE = bytes(range(256)) * 1024


def http_body(source: Backend, data: bytes, content_type: str = "") -> bytes:
    """Returns a serialised google.api.HttpBody."""
    desc = source.registry.message("google.api.HttpBody")
    assert desc is not None
    return desc.type(content_type=content_type, data=data).to_binary()


def serves(source: Backend, *pieces: bytes, **metadata: str) -> None:
    """Makes the backend answer with a file in these pieces."""

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata(tuple((name.replace("_", "-"), value) for name, value in metadata.items()))
        for number, piece in enumerate(pieces):
            yield http_body(source, piece, "" if number else "text/csv; charset=utf-8")

    source.stream = stream


async def test_a_download_is_its_bytes(reader: Client, source: Backend) -> None:
    """The response has the type of the first message for any Accept, and the headers from the service's metadata."""
    serves(source, b"a,b\n", b"1,2\n", b"", content_disposition='attachment; filename="x.csv"', x_other="1")
    response = await reader.get("/v1/files/a/x.csv", headers={"accept": "text/csv"})
    assert (response.status_code, response.content) == (200, b"a,b\n1,2\n")
    headers = response.headers
    assert headers["content-type"] == "text/csv; charset=utf-8"
    assert headers["content-disposition"] == 'attachment; filename="x.csv"'
    assert headers["cache-control"] == "public, max-age=60"
    assert headers["x-content-type-options"] == "nosniff"
    assert "x-other" not in headers


async def test_an_empty_download(reader: Client, source: Backend) -> None:
    """A download without messages has the default type."""
    serves(source)
    response = await reader.get("/v1/files/x")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == "application/octet-stream"


async def test_a_part_of_a_download(reader: Client, source: Backend) -> None:
    """The service receives the range, and the response has the range that it returns."""
    serves(source, b"bc", content_range="bytes 1-2/4", accept_ranges="bytes")
    response = await reader.get("/v1/files/x", headers={"range": "bytes=1-2", "if-range": '"v1"'})
    assert (response.status_code, response.content) == (206, b"bc")
    assert (response.headers["content-range"], response.headers["accept-ranges"]) == ("bytes 1-2/4", "bytes")
    metadata = source.calls[-1].metadata
    assert (metadata["range"], metadata["if-range"]) == ("bytes=1-2", '"v1"')


@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "/v1/files/x"), ("POST", "/v1/transform"), ("GET", "/v1/files/x?$alt=json")]
)
async def test_only_a_download_by_get_has_parts(reader: Client, source: Backend, method: str, path: str) -> None:
    """The range of another method, or of a file in JSON, is ignored (RFC 9110, section 14.2)."""

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        metadata = dict(context.invocation_metadata() or ())
        if "range" in metadata:
            await context.send_initial_metadata((("content-range", "bytes 1-2/4"),))
        yield http_body(source, b"abcd", "text/csv")

    source.stream = stream
    whole = await reader.request(method, path, headers={"range": "bytes=1-2", "if-range": '"v1"'})
    assert (whole.status_code, "content-range" in whole.headers) == (200, False)
    assert not {"range", "if-range"} & source.calls[-1].metadata.keys()

    async def fails(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "only four")
        yield b""

    source.stream = fails
    assert (await reader.request(method, path, headers={"range": "bytes=9-"})).status_code == 400


# https://fetch.spec.whatwg.org/#cors-safelisted-response-header-name
SAFELISTED = {"cache-control", "content-language", "content-length", "content-type", "expires", "last-modified"}
HIDDEN = {"access-control-allow-origin", "access-control-expose-headers", "date", "vary", "x-content-type-options"}


async def test_scripts_can_read_what_describes_a_download(feeds: Contract, source: Backend) -> None:
    """A script of another origin can read every header of a file, and those that say how to correct a request."""
    described = dict.fromkeys(("accept_ranges", "content_disposition", "content_language", "etag"), '"v1"')
    serves(source, b"bc", content_range="bytes 1-2/4", last_modified="x", expires="x", **described)
    async with edge_of(feeds, source.port, cors_origins="https://a.example") as client:
        origin = {"origin": "https://a.example"}
        download = await client.get("/v1/files/x", headers=origin)
        wrong_method = await client.delete("/v1/files/x", headers=origin)
        wrong_type = await client.post("/v1/watch", content=b"x", headers={**origin, "content-type": "a/b"})
    assert {"accept-ranges", "content-disposition", "content-range", "etag"} <= download.headers.keys()
    assert ("allow" in wrong_method.headers, "accept-post" in wrong_type.headers) == (True, True)
    for response in (download, wrong_method, wrong_type):
        exposed = set(response.headers["access-control-expose-headers"].split(", "))
        assert response.headers.keys() - HIDDEN - SAFELISTED - {"transfer-encoding"} <= exposed


async def test_a_part_that_is_not_there(reader: Client, source: Backend) -> None:
    """OUT_OF_RANGE of the service is 416 if the request has a range, otherwise 400."""

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        context.set_trailing_metadata((("content-range", "bytes */4"),))
        await context.abort(grpc.StatusCode.OUT_OF_RANGE, "only four")
        yield b""

    source.stream = stream
    response = await reader.get("/v1/files/x", headers={"range": "bytes=9-"})
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */4")
    assert response.json()["error"]["status"] == "OUT_OF_RANGE"
    assert (await reader.get("/v1/files/x")).status_code == 400


async def test_a_download_that_breaks_is_incomplete(
    reader: Client, source: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    """The connection is aborted, because the bytes of a file have no place for an error."""

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        yield http_body(source, b"half", "text/plain")
        await context.abort(grpc.StatusCode.DATA_LOSS, "gone")

    source.stream = stream
    async with wire(reader) as connection:
        await connection.begin("GET", "/v1/files/x")
        assert (await connection.head())[0] == 200
        assert await connection.chunk() == b"half"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await connection.chunk()
    log = capsys.readouterr().out
    assert ("code=DATA_LOSS" in log, "status=200" in log) == (True, True)


async def test_a_download_that_outlives_the_drain_is_incomplete(
    feeds: Contract, source: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the edge stops, the connection is aborted, and the log has the status that was sent and the final code."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        yield http_body(source, b"half", "text/plain")
        await asyncio.Event().wait()

    source.stream = stream
    async with edge_of(feeds, source.port, shutdown_grace_s=1) as client:
        connection = Wire(*await asyncio.open_connection(client.base_url.host, client.base_url.port))
        await connection.begin("GET", "/v1/files/x")
        assert (await connection.head())[0] == 200
        assert await connection.chunk() == b"half"
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await connection.chunk()
    connection.writer.close()
    log = capsys.readouterr().out
    assert ("code=UNAVAILABLE" in log, "status=200" in log) == (True, True)


async def test_an_error_before_a_download_is_the_status(reader: Client, source: Backend) -> None:
    """An error before the first message has the shape of all errors."""

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such file")
        yield b""

    source.stream = stream
    response = await reader.get("/v1/files/x")
    assert (response.status_code, response.json()["error"]["message"]) == (404, "no such file")


@pytest.mark.parametrize(("alt", "status"), [("media", 200), ("json", 200), ("proto", 400)])
async def test_alt_of_a_download(reader: Client, source: Backend, alt: str, status: int) -> None:
    """With alt=json the response is the messages as JSON."""
    serves(source, b"abc")
    response = await reader.get(f"/v1/files/x?$alt={alt}")
    assert response.status_code == status
    if alt == "json":
        assert response.json() == [{"contentType": "text/csv; charset=utf-8", "data": "YWJj"}]


async def test_an_upload_is_split_into_messages(reader: Client, source: Backend) -> None:
    """Messages are sent as the file arrives; the first has the fields of the path and the query, and the type."""
    desc = source.registry.message("feeds.v1.FileRequest")
    assert desc is not None
    got: list[Any] = []

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            got.append(desc.type.from_binary(request))  # noqa: PERF401 # seen one by one
        yield source.message("feeds.v1.Summary", '{"count": 1}').to_binary()

    source.stream = stream

    async def body() -> AsyncIterator[bytes]:
        yield b"abc"
        while not got:
            await asyncio.sleep(0.01)
        yield b"def"

    headers = {"content-type": "image/png"}
    response = await reader.put("/v1/files/a/b.png?note=n", content=body(), headers=headers)
    assert (response.status_code, response.json()) == (200, {"count": 1})
    first, second = got
    assert (first.path, first.note, first.content.content_type, first.content.data) == (
        "a/b.png",
        "n",
        "image/png",
        b"abc",
    )
    assert (second.path, second.note, second.content.content_type, second.content.data) == ("", "", "", b"def")


async def test_an_empty_upload_is_a_message(reader: Client, source: Backend) -> None:
    """The message names the empty file and has its type."""
    got: list[bytes] = []

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            got.append(request)  # noqa: PERF401 # seen one by one
        yield b""

    source.stream = stream
    await reader.put("/v1/files/empty", content=b"")
    await reader.put("/v1/files/empty", content=b"", headers={"content-type": "text/csv"})
    assert got == [
        source.message("feeds.v1.FileRequest", f'{{"path": "empty", "content": {content}}}').to_binary()
        for content in ("{}", '{"contentType": "text/csv"}')
    ]


async def test_a_file_in_both_directions(reader: Client, source: Backend) -> None:
    """The file is echoed with the type that was sent."""
    response = await reader.post("/v1/transform", content=PIECE * 8, headers={"content-type": "x/y"})
    assert (response.status_code, response.headers["content-type"]) == (200, "x/y")
    assert hashlib.sha256(response.content).digest() == hashlib.sha256(PIECE * 8).digest()


async def test_an_upload_has_a_limit(feeds: Contract, source: Backend) -> None:
    """Uploads have a limit of their own, and not that of other bodies."""
    async with edge_of(feeds, source.port, stream_bytes_max=1_000_000, body_bytes_max=10) as client:
        headers = {"content-type": "x/y"}
        assert (await client.post("/v1/transform", content=PIECE * 3, headers=headers)).status_code == 200

        async def swallow(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
            async for _request in requests:
                pass
            yield b""

        source.stream = swallow
        response = await client.put("/v1/files/x", content=PIECE * 4, headers=headers)
    assert response.status_code == 413
    assert response.json()["error"]["details"][0]["reason"] == "BODY_TOO_LARGE"


async def test_large_files_use_little_memory(reader: Client, source: Backend) -> None:
    """A hundred megabytes are sent up and then down in constant memory."""
    process, count = psutil.Process(os.getpid()), 400
    swallowed = 0

    async def swallow(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        nonlocal swallowed
        async for request in requests:
            swallowed += len(request)
        yield b""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(count):
            yield PIECE

    source.stream = swallow
    await reader.put("/v1/files/warm", content=PIECE * 16)
    before = process.memory_info().rss
    assert (await reader.put("/v1/files/x", content=body())).status_code == 200
    assert swallowed > count * len(PIECE)
    serves(source, *[PIECE] * count)
    size_bytes = 0
    async with reader.stream("GET", "/v1/files/x") as response:
        async for piece in response.aiter_raw():
            size_bytes += len(piece)
    assert size_bytes == count * len(PIECE)
    assert process.memory_info().rss - before < 40_000_000


async def test_a_download_that_the_client_has_is_304(reader: Client, source: Backend) -> None:
    """If the service's ETag matches, the call ends and the rest of the file is not read."""
    serves(source, b"abc", etag='"v1"')
    for sent in ('"v1"', 'W/"v1"', '"v0", "v1"'):
        for method in ("GET", "HEAD"):
            known = await reader.request(method, "/v1/files/x", headers={"if-none-match": sent})
            assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"v1"')
            assert known.headers["cache-control"] == "public, max-age=60"
    assert (await reader.get("/v1/files/x", headers={"if-none-match": '"v2"'})).content == b"abc"
    while len(source.ended) < len(source.calls):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["range", "if-range"])
async def test_a_range_that_is_not_valid_metadata(reader: Client, source: Backend, name: str) -> None:
    """The error names the header."""
    response = await reader.get("/v1/files/x", headers={name.encode(): b'"\xff"'})
    assert (response.status_code, name in response.text, source.calls) == (400, True, [])
