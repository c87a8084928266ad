"""Connections of slow, hostile and disconnected clients."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from edge.contract.contract import Contract, read
from edge.http.http1_protocol import PIPELINED_MAX, Http1Protocol
from edge.http.reply_writer import BYTES_FREE
from tests.edge.backend import Backend, Context, Received, backend_of
from tests.edge.contracts import compile_image
from tests.edge.http.test_floods import connected
from tests.edge.protocols.rest.contract import FEEDS, STREAMING
from tests.edge.served import Client, edge_of
from tests.garbage import alive, living

GET = b"GET /v1/shelves/a/books/b HTTP/1.1\r\nhost: x\r\n"
CHUNKED = b"POST /v1/echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
CLOSING_POST = b"POST /v1/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
HANDSHAKE = (
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
DATE = b"\r\ndate: Fri, 01 Jan 2100 00:00:00 GMT\r\n"
LIMITS: dict[str, Any] = {"head_bytes_max": 2048, "url_bytes_max": 256}


@pytest.fixture
async def strict(library: Contract, backend: Backend) -> AsyncIterator[Client]:
    """Starts an edge with tight limits on sizes and returns its client."""
    async with edge_of(library, backend.port, **LIMITS) as client:
        yield client


@pytest.fixture
async def impatient(library: Contract, backend: Backend) -> AsyncIterator[Client]:
    """Starts an edge with tight limits, on times too, and returns its client."""
    async with edge_of(library, backend.port, head_timeout_s=0.3, body_timeout_s=0.3, **LIMITS) as client:
        yield client


@contextlib.asynccontextmanager
async def connection(client: Client) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Opens a plain TCP connection to the edge of this client."""
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def connection_to_streams(folder: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Opens a plain TCP connection to an edge with all kinds of streams, whose service echoes."""
    feeds = read(compile_image(FEEDS, folder))
    async with (
        backend_of(feeds.registry, STREAMING) as source,
        edge_of(feeds, source.port) as client,
        connection(client) as opened,
    ):
        yield opened


async def answer_to(client: Client, *pieces: bytes) -> tuple[int, dict[str, object]]:
    """Sends bytes. Returns the status and the error that the edge sends before it closes the connection."""
    async with connection(client) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize(
    ("pieces", "status", "reason"),
    [
        ((b"nonsense\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET / HTTP/9.9\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"bad header\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",), 400, "MALFORMED_REQUEST"),
        ((GET + b"content-length: -1\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"x: a\r\n b\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"host: y\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET /v1/echo HTTP/1.1\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET /v1/echo HTTP/1.1\r\nhost: a b\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET /v1/echo HTTP/1.1\r\nhost: x@y\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET /v1/echo\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET /v1/echo HTTP/1.1\nhost: x\n\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET /v1/echo HTTP/1.1\r\nhost: x\ry: z\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET v1/echo HTTP/1.1\r\nhost: x\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET /v1/echo#a HTTP/1.1\r\nhost: x\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",), 400, "MALFORMED_REQUEST"),
        ((b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"POST /v1/echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"content-length : 1\r\n\r\na",), 400, "MALFORMED_REQUEST"),
        ((GET + b"content-length: 2, 2\r\n\r\nab",), 400, "MALFORMED_REQUEST"),
        ((GET + b"content-length: 1\r\ncontent-length: 1\r\n\r\na",), 400, "MALFORMED_REQUEST"),
        ((GET + b"content-length: 0x1\r\n\r\na",), 400, "MALFORMED_REQUEST"),
        ((GET + b"content-length: 99999999999999999999\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"transfer-encoding: \x0bchunked\r\n\r\n0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((GET + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((CHUNKED + b"2;\n{}\r\n0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((CHUNKED + b"2\n{}\n0\n\n",), 400, "MALFORMED_REQUEST"),
        ((CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((CHUNKED + b"FFFFFFFFFFFFFFFFF\r\n{}\r\n",), 400, "MALFORMED_REQUEST"),
        ((CHUNKED + b"2\r\n{}xx0\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((CHUNKED + b"2\r\n{}\r\n0\r\ncontent-length: 5\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        (
            (CLOSING_POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",),
            501,
            "TRANSFER_CODING_NOT_SUPPORTED",
        ),
        ((b"GET /v1/\xff HTTP/1.1\r\nhost: x\r\n\r\n",), 400, "MALFORMED_REQUEST"),
        ((b"GET /" + b"a" * 300 + b" HTTP/1.1\r\nhost: x\r\n\r\n",), 414, "URL_TOO_LONG"),
        ((GET + b"x: " + b"a" * 3000 + b"\r\n\r\n",), 431, "HEADERS_TOO_LARGE"),
        ((GET + b"".join(b"x%d: a\r\n" % n for n in range(500)) + b"\r\n",), 431, "HEADERS_TOO_LARGE"),
        ((GET + b"a:b\r\n" * 100 + b"\r\n",), 431, "HEADERS_TOO_LARGE"),
        ((GET + b"x: ", b"a" * 1500, b"a" * 1500), 431, "HEADERS_TOO_LARGE"),
    ],
)
async def test_a_malformed_request_gets_an_error_and_is_closed(
    strict: Client, backend: Backend, pieces: tuple[bytes, ...], status: int, reason: str
) -> None:
    """Malformed, smuggled and endless requests get an error in the common format, and are closed."""
    answered, error = await answer_to(strict, *pieces)
    assert (answered, error["code"]) == (status, status)
    assert reason in json.dumps(error["details"])
    assert backend.calls == []


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ((GET,), "HEADERS_TIMEOUT"),
        ((GET, b"x: 1\r\n", b"y: 2\r\n"), "HEADERS_TIMEOUT"),
        ((b"POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n", b"{"), "BODY_TIMEOUT"),
    ],
)
async def test_a_slow_request_gets_an_error_and_is_closed(
    impatient: Client, backend: Backend, pieces: tuple[bytes, ...], reason: str
) -> None:
    """The error is in the common format."""
    answered, error = await answer_to(impatient, *pieces)
    assert (answered, error["code"]) == (408, 408)
    assert reason in json.dumps(error["details"])
    assert backend.calls == []


async def test_a_silent_connection_is_closed(impatient: Client) -> None:
    """A connection without a request is closed without a response."""
    async with connection(impatient) as (reader, _):
        assert await reader.read() == b""


async def test_others_are_served_meanwhile(strict: Client, backend: Backend) -> None:
    """A hundred incomplete requests don't block a complete one."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(100):
            _, writer = await stack.enter_async_context(connection(strict))
            writer.write(GET)
        assert (await strict.get("/v1/shelves/a/books/b")).status_code == 200


async def test_pipelined_requests_are_answered_in_order(client: Client, backend: Backend) -> None:
    """Three pipelined requests are answered in order, and the last closes the connection."""
    head = b"GET /v1/echo?i32=%d HTTP/1.1\r\nhost: x\r\n%s\r\n"
    async with connection(client) as (reader, writer):
        writer.write(head % (1, b"") + head % (2, b"") + head % (3, b"connection: close\r\n"))
        answers = await reader.read()
    places = [answers.index(b'{"i32":%d}' % number) for number in (1, 2, 3)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "wrong",
    [
        b"nonsense\r\n\r\n",
        GET + b"bad header\r\n\r\n",
        GET + b"x: " + b"a" * 3000,
        GET,
        GET + b"host: y\r\n\r\n",
        b"GET v1/echo HTTP/1.1\r\nhost: x\r\n\r\n",
    ],
)
async def test_garbage_after_a_request_is_rejected_after_its_reply(
    impatient: Client, backend: Backend, wrong: bytes
) -> None:
    """Requests before malformed data are served, and none of them gets the error as its reply."""
    head = b"GET /v1/echo?i32=%d HTTP/1.1\r\nhost: x\r\n\r\n"
    async with connection(impatient) as (reader, writer):
        writer.write(head % 1 + head % 2 + wrong)
        answers = await reader.read()
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)
    assert statuses[:2] == [b"200", b"200"]
    assert len(statuses) == 3
    assert statuses[2] in (b"400", b"408", b"431")
    assert len(backend.calls) == 2


async def test_a_body_that_breaks_after_its_reply_began_closes_the_connection(tmp_path: Path) -> None:
    """A malformed body closes the connection without a second status inside the reply."""
    async with connection_to_streams(tmp_path) as (reader, writer):
        head = b"POST /v1/tracks/a:chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
        writer.write(head + b'transfer-encoding: chunked\r\n\r\nd\r\n{"number":1}\n\r\n')
        begin = await reader.readuntil(b"}")
        writer.write(b"ZZ\r\n")
        rest = await reader.read()
    assert begin.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1" not in rest
    assert not rest.endswith(b"0\r\n\r\n"), "it is not complete"


async def test_unusual_but_valid_requests(client: Client, backend: Backend) -> None:
    """Absolute URLs, chunk extensions and empty lines before a request are valid (RFC 9112)."""
    absolute = b"GET http://evil/v1/echo?i32=1 HTTP/1.1\r\nhost: x\r\n\r\n"
    chunks = CHUNKED + b'8;a="b"\r\n{"i32":2\r\n1;c\r\n}\r\n0\r\n\r\n'
    last = b"\r\n" * 50_000 + b"GET /v1/echo?i32=3 HTTP/1.1\r\nhost: [::1]:80\r\nconnection: close\r\n\r\n"
    async with connection(client) as (reader, writer):
        writer.write(absolute + chunks + last)
        answers = await reader.read()
    assert re.findall(rb'\{"i32":(\d)\}', answers) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("host", [b"http://evil", b"HTTPS://evil:80"])
@pytest.mark.parametrize("query", [b"", b"?i32=http://evil"])
async def test_a_url_that_names_only_a_host_is_its_root(
    client: Client, backend: Backend, host: bytes, query: bytes
) -> None:
    """RFC 9110, section 4.2.3: an empty path is the same as "/"."""
    async with connection(client) as (reader, writer):
        for target in (b"/" + query, host + query):
            writer.write(b"GET %b HTTP/1.1\r\nhost: x\r\n\r\n" % target)
        writer.write(b"GET /v1/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answers = await reader.read()
    root, same, _ = re.findall(rb"HTTP/1.1 (\d+) ", answers)
    assert root == same != b"400"


@pytest.mark.parametrize("upgrade", [b"h2c", b"other/1", b"websocket"])
@pytest.mark.parametrize(
    "framing", [b"content-length: 9\r\n\r\n%b", b"transfer-encoding: chunked\r\n\r\n9\r\n%b\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("split", [0, -1, -20, 60])
async def test_an_upgrade_that_is_ignored_keeps_the_body(
    client: Client, backend: Backend, upgrade: bytes, framing: bytes, split: int
) -> None:
    """The request is one of HTTP/1.1 with its body, however it arrives, and so are those behind it. Java's HttpClient
    asks for h2c with every request.
    """
    fields = b"host: x\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: %b\r\nhttp2-settings: AAMAAABk\r\n" % upgrade
    first = b"POST /v1/echo HTTP/1.1\r\n" + fields + framing % b'{"i32":1}'
    second = b"POST /v1/echo HTTP/1.1\r\n" + fields + framing % b'{"i32":2}'
    last = b"GET /v1/echo?i32=3 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    sent = first + second + last
    at = len(first) + split
    async with connection(client) as (reader, writer):
        writer.write(sent[:at])
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(sent[at:])
        answers = await reader.read()
    assert re.findall(rb'\{"i32":(\d)\}', answers) == [b"1", b"2", b"3"]
    assert len(backend.calls) == 3


async def test_a_body_behind_an_upgrade_is_no_request(client: Client, backend: Backend) -> None:
    """Otherwise a client could have a proxy in front forward a request that the proxy has not seen."""
    body = b"DELETE /v1/shelves/a/books/b HTTP/1.1\r\nhost: x\r\n\r\n"
    head = CLOSING_POST.replace(b"close", b"close, upgrade") + b"upgrade: other\r\ncontent-length: %d\r\n\r\n"
    async with connection(client) as (reader, writer):
        writer.write(head % len(body))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(body)
        answers = await reader.read()
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answers) == [b"400"]
    assert b"MALFORMED_JSON" in answers
    assert backend.calls == []


async def test_a_client_of_http_1_0_gets_no_interim_response(client: Client, backend: Backend) -> None:
    """RFC 9110, section 10.1.1: its expectation is ignored."""
    head = b"POST /v1/echo HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 9\r\n\r\n"
    async with connection(client) as (reader, writer):
        writer.write(head)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(b'{"i32":1}')
        answers = await reader.read()
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answers) == [b"200"]


async def test_a_client_of_http_1_0_gets_no_chunks(tmp_path: Path) -> None:
    """RFC 9112, section 6.1: the end of the connection is the end of a stream."""
    async with connection_to_streams(tmp_path) as (reader, writer):
        body = b'[{"number":1},{"number":2}]'
        head = b"POST /v1/tracks/a:chat HTTP/1.0\r\naccept: application/x-ndjson\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(body) + body)
        answer_head, _, answer = (await reader.read()).partition(b"\r\n\r\n")
    assert answer_head.startswith(b"HTTP/1.1 200 ")
    assert b"transfer-encoding" not in answer_head
    assert b"connection: close" in answer_head
    assert [json.loads(line)["number"] for line in answer.splitlines()] == [1, 2]


@pytest.mark.parametrize("pause_s", [0, 0.05])
async def test_a_handshake_does_not_overtake_a_request(client: Client, backend: Backend, pause_s: float) -> None:
    """It is rejected after the reply: a WebSocket must not contain the reply to an earlier request."""
    go = echoes_later(backend)
    async with connection(client) as (reader, writer):
        writer.write(b"GET /v1/echo?i32=1 HTTP/1.1\r\nhost: x\r\n\r\n")
        await asyncio.sleep(pause_s)
        writer.write(GET + HANDSHAKE)
        await asyncio.sleep(0.05)
        go.set()
        answers = await reader.read()
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answers) == [b"200", b"400"]
    assert answers.index(b'{"i32":1}') < answers.index(b"MALFORMED_REQUEST")


async def test_a_handshake_does_not_follow_a_reply_that_is_not_read(tmp_path: Path) -> None:
    """It is rejected behind the replies: its WebSocket would send ever more without noticing a full send buffer."""
    feeds = read(compile_image(FEEDS, tmp_path))
    async with backend_of(feeds.registry, STREAMING) as source, edge_of(feeds, source.port) as client:
        source.replies(source.message("feeds.v1.Event", json.dumps({"text": "x" * 3_000_000})))
        sock = await connected(client.base_url.host, client.base_url.port or 0, "127.0.0.3")
        reader, writer = await asyncio.open_connection(sock=sock, limit=1)
        address = writer.get_extra_info("sockname")
        (served,) = [each for each in living(Http1Protocol) if each.client == address]
        count = 0
        while not served.flow.write_paused:
            writer.write(b"GET /v1/feeds/x HTTP/1.1\r\nhost: x\r\n\r\n")
            count += 1
            while served.cycle is None or not served.cycle.response_complete or len(source.calls) < count:
                await asyncio.sleep(0.01)
        writer.write(b"GET /v1/feeds/x:watch HTTP/1.1\r\nhost: x\r\n" + HANDSHAKE)
        async with asyncio.timeout(20):
            answers = await reader.read()
        writer.close()
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answers) == [b"200"] * count + [b"400"]
    assert {call.path for call in source.calls} == {"/feeds.v1.Feeds/Once"}


async def test_few_of_many_pipelined_requests_wait(client: Client, backend: Backend) -> None:
    """All are answered, but a client does not make the edge hold thousands of requests by one read."""
    go = echoes_later(backend)
    request = b"GET /v1/echo?i32=1 HTTP/1.1\r\nhost: x\r\n\r\n"
    before = alive(RequestResponseCycle)
    async with connection(client) as (reader, writer):
        writer.write(request * 2000)
        async with asyncio.timeout(30):
            while not backend.calls:
                await asyncio.sleep(0.01)
        assert 1 <= alive(RequestResponseCycle) - before <= 2
        go.set()
        for _ in range(2000):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await reader.readexactly(len(b'{"i32":1}'))


@pytest.mark.parametrize(
    ("framing", "statuses"),
    [
        (b"content-length: 5000\r\n\r\n%b", [b"200"] * 1001),
        (b"transfer-encoding: chunked\r\n\r\n1388\r\n%b\r\n0\r\n\r\n", [b"200"] * (1 + PIPELINED_MAX) + [b"503"]),
    ],
)
async def test_requests_behind_a_body(client: Client, backend: Backend, framing: bytes, statuses: list[bytes]) -> None:
    """All are answered, but behind a body without a length only a few, and then an error."""
    post = b"POST /v1/echo HTTP/1.1\r\nhost: x\r\n" + framing % b'{"i32":1}'.rjust(5000)
    async with connection(client) as (reader, writer):
        get = b"GET /v1/echo?i32=1 HTTP/1.1\r\nhost: x\r\n"
        writer.write(post + (get + b"\r\n") * 999 + get + b"connection: close\r\n\r\n")
        answers = await reader.read()
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answers) == statuses
    assert (b"OVERLOADED" in answers) is (statuses[-1] == b"503")


async def test_requests_that_wait_are_held_bytes(library: Contract, backend: Backend) -> None:
    """A client can't exceed its share of the memory by pipelining over many connections."""
    go = echoes_later(backend)
    request = b"GET /v1/echo?i32=1 HTTP/1.1\r\nhost: x\r\n\r\n"
    last = request.replace(b"host", b"connection: close\r\nhost")
    async with (
        edge_of(library, backend.port, body_bytes_max=1000, held_bytes_max=40_000) as client,
        connection(client) as (first, first_writer),
        connection(client) as (second, second_writer),
    ):
        first_writer.write(request * 150 + last)
        while len(backend.calls) < 1:
            await asyncio.sleep(0.01)
        second_writer.write(request * 150 + last)
        while len(backend.calls) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        go.set()
        answers = [re.findall(rb"HTTP/1\.1 (\d{3}) ", await each.read()) for each in (first, second)]
        assert answers == [[b"200"] * 151, [b"200", b"429"]]
        async with connection(client) as (third, writer):
            writer.write(request * 150 + last)
            assert re.findall(rb"HTTP/1\.1 (\d{3}) ", await third.read()) == [b"200"] * 151


async def test_few_replies_wait_for_a_client_that_does_not_read(client: Client, backend: Backend) -> None:
    """The replies that wait in the send buffer are no larger than what the budget of a connection counts."""
    reply = b"x" * 10_000
    backend.replies(backend.message("library.v1.Book", json.dumps({"title": reply.decode()})))
    host, port = client.base_url.host, client.base_url.port or 0
    reader, writer = await asyncio.open_connection(sock=await connected(host, port, "127.0.0.2"), limit=1)
    address = writer.get_extra_info("sockname")
    (served,) = [each for each in living(Http1Protocol) if each.client == address]
    calls = -1
    async with asyncio.timeout(60):
        while calls < len(backend.calls) or not served.transport.get_write_buffer_size():
            calls = len(backend.calls)
            writer.write((GET + b"\r\n") * 100)
            await asyncio.sleep(0.5)
    assert 0 < served.transport.get_write_buffer_size() <= BYTES_FREE + 2 * len(reply)
    writer.transport.abort()
    assert reader.exception() is None


async def test_many_pipelined_requests_are_not_read_ahead(client: Client, backend: Backend) -> None:
    """All pipelined requests are answered, but no more are read ahead than fit into one read."""
    go = echoes_later(backend)
    request = b"GET /v1/echo?i32=1 HTTP/1.1\r\nhost: x\r\nx: %s\r\n\r\n" % (b"a" * 10_000)
    async with connection(client) as (reader, writer):
        writer.transport.set_write_buffer_limits(high=0)
        sent: list[int] = []
        sending = asyncio.create_task(send_each(writer, [request] * 2000, sent))
        before = -1
        while len(sent) != before or not sent:
            before = len(sent)
            await asyncio.sleep(0.3)
        assert before < 1500
        go.set()
        count = 0
        while count < 2000:
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            await reader.readexactly(len(b'{"i32":1}'))
            count += 1
        await sending


async def send_each(writer: asyncio.StreamWriter, requests: list[bytes], sent: list[int]) -> None:
    """Sends requests, and records how many are in transit."""
    for request in requests:
        writer.write(request)
        await writer.drain()
        sent.append(len(request))


def echoes_later(backend: Backend) -> asyncio.Event:
    """Returns an event that the backend waits for, before it answers with what it got."""
    go = asyncio.Event()

    async def answer(received: Received, _: Context) -> bytes:
        await go.wait()
        return received.request

    backend.answer = answer
    return go


def never_answers(backend: Backend) -> asyncio.Event:
    """Returns an event that is set when the unanswered call in the backend is cancelled."""
    cancelled = asyncio.Event()

    async def answer(_: Received, __: Context) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return b""

    backend.answer = answer
    return cancelled


async def call_begun(writer: asyncio.StreamWriter, backend: Backend) -> None:
    """Sends a request, and waits until it has reached the backend."""
    writer.write(GET + b"\r\n")
    while not backend.calls:
        await asyncio.sleep(0.01)


async def test_a_half_closed_connection_cancels_its_call(client: Client, backend: Backend) -> None:
    """A half-closed connection can't be distinguished from a closed one, so its call is cancelled."""
    cancelled = never_answers(backend)
    async with connection(client) as (reader, writer):
        await call_begun(writer, backend)
        writer.write_eof()
        assert await reader.read() == b""
    await cancelled.wait()


async def test_a_client_that_disconnects_cancels_its_call(client: Client, backend: Backend) -> None:
    """The service stops work for a client that has disconnected."""
    cancelled = never_answers(backend)
    async with connection(client) as (_, writer):
        await call_begun(writer, backend)
    await cancelled.wait()


async def test_a_drain_serves_the_next_request_of_a_kept_connection(library: Contract, backend: Backend) -> None:
    """During a drain the next request is served, and its reply announces the end of the connection."""
    edge = edge_of(library, backend.port)
    client = await edge.__aenter__()
    async with connection(client) as (reader, writer):
        writer.write(GET + b"\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
        assert b"connection: close" not in head
        stopping = asyncio.create_task(edge.__aexit__(None, None, None))
        await refused(client)
        writer.write(GET + b"\r\n")
        last = await reader.read()
        assert last.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nconnection: close\r\n" in last
        await stopping


async def test_an_idle_connection_is_closed_when_the_edge_stops(library: Contract, backend: Backend) -> None:
    """An idle connection does not delay the shutdown."""
    async with edge_of(library, backend.port) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
    assert b"HTTP" not in await reader.read()
    writer.close()


async def test_a_reply_has_the_date_of_its_start(
    client: Client, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of its request (RFC 9110, section 6.6.1)."""
    go = echoes_later(backend)
    async with connection(client) as (reader, writer):
        await call_begun(writer, backend)
        await later(monkeypatch)
        go.set()
        assert DATE in await reader.readuntil(b"\r\n\r\n")


async def test_a_streamed_reply_has_the_date_of_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interim response shows that the edge has read the head of the request."""
    async with connection_to_streams(tmp_path) as (reader, writer):
        head = b"POST /v1/tracks/a:chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-ndjson\r\n"
        writer.write(head + b"expect: 100-continue\r\ncontent-length: 13\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await later(monkeypatch)
        writer.write(b'{"number":1}\n')
        assert DATE in await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("service_mesh", [True, False])
async def test_a_reply_of_a_stopping_edge_has_the_date_of_its_start(
    library: Contract, backend: Backend, monkeypatch: pytest.MonkeyPatch, service_mesh: bool
) -> None:
    """Also when the drain is over, and only calls in progress are left."""
    go = echoes_later(backend)
    edge = edge_of(library, backend.port, service_mesh=service_mesh, drain_quiet_s=0)
    client = await edge.__aenter__()
    async with connection(client) as (reader, writer):
        await call_begun(writer, backend)
        stopping = asyncio.create_task(edge.__aexit__(None, None, None))
        await refused(client)
        await later(monkeypatch)
        go.set()
        last = await reader.read()
        await stopping
    assert DATE in last
    assert b"\r\nconnection: close\r\n" in last
    assert (b"\r\nl5d-proxy-connection: close\r\n" in last) is service_mesh


async def test_a_rejection_has_a_date(client: Client) -> None:
    """A 4xx of a server with a clock has one (RFC 9110, section 6.6.1), once."""
    async with connection(client) as (reader, writer):
        writer.write(b"nonsense\r\n\r\n")
        assert (await reader.read()).count(b"\r\ndate: ") == 1


async def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits until the clock of the edge has become DATE. It ticks at each tenth turn of a loop like this one."""
    monkeypatch.setattr("uvicorn.server.formatdate", lambda *_, **__: "Fri, 01 Jan 2100 00:00:00 GMT")
    for _ in range(12):
        await asyncio.sleep(0.1)


async def refused(client: Client) -> None:
    """Waits until the edge accepts no more connections."""
    with contextlib.suppress(ConnectionRefusedError, ConnectionResetError):  # one that waits to be accepted is reset
        while True:
            async with connection(client):
                await asyncio.sleep(0.01)


async def test_few_tiny_chunks_are_discarded(client: Client, backend: Backend) -> None:
    """A rejected body in chunks of a byte ends the connection before it has cost seconds."""
    async with connection(client) as (reader, writer):
        writer.write(b"POST /nothing HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 404")
        writer.write(b"1\r\nx\r\n" * 300_000)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                await reader.read()
    assert not backend.calls


async def test_a_body_after_a_rejection_is_discarded(strict: Client, backend: Backend) -> None:
    """A client with a too large body can read the error and reuse the connection."""
    head = b"POST /v1/echo HTTP/1.1\r\nhost: x\r\ncontent-length: 2000000\r\n\r\n"
    async with connection(strict) as (reader, writer):
        writer.write(head + b"x" * 2_000_000)
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413")
        await writer.drain()
        writer.write(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert b"alive" in await reader.read()


TRAILERS = b'authorization: Bearer forged\r\nx-forwarded-for: 6.6.6.6\r\nif-match: "9"\r\nx-request-id: forged\r\n'


@pytest.mark.parametrize("kept", [b"", b"accept-language: de\r\n"])
async def test_a_trailer_is_not_a_header(library: Contract, backend: Backend, kept: bytes) -> None:
    """Trailers after a chunked body are dropped, however they arrive (RFC 9110, section 6.5.1)."""
    head = b"PATCH /v1/shelves/a/books/b HTTP/1.1\r\nhost: x\r\n" + kept + b"transfer-encoding: chunked\r\n\r\n"
    body = b"2\r\n{}\r\n0\r\n" + TRAILERS
    get = GET + b"connection: close\r\n\r\n"
    async with edge_of(library, backend.port, trusted_proxies="127.0.0.1") as client:
        for pieces in ((head + body + b"\r\n" + get,), (head, body, b"\r\n", get)):
            backend.calls.clear()
            async with connection(client) as (reader, writer):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.02)
                replies = (await reader.read()).lower()
            assert replies.count(b"http/1.1 200") == 2
            assert b"forged" not in replies
            assert len(backend.calls) == 2
            for call in backend.calls:
                assert "authorization" not in call.metadata
                assert b"9" not in call.request


@pytest.mark.parametrize(
    "trailers",
    [
        (b"x: " + b"a" * 3000 + b"\r\n\r\n",),
        (b"".join(b"x%d: a\r\n" % n for n in range(500)) + b"\r\n",),
        (b"x: ", *(b"a" * 1000,) * 4),
        (b"x", *(b"a" * 1000,) * 4),
    ],
)
async def test_trailers_have_the_limit_of_headers(
    strict: Client, backend: Backend, trailers: tuple[bytes, ...]
) -> None:
    """Trailers are limited like headers, however they arrive, also without an end."""
    answered, error = await answer_to(strict, CHUNKED + b"2\r\n{}\r\n0\r\n", *trailers)
    assert (answered, "HEADERS_TOO_LARGE" in json.dumps(error)) == (431, True)
    assert backend.calls == []


async def test_the_extension_of_a_chunk_is_limited(strict: Client, backend: Backend) -> None:
    """A chunk extension has a maximum length (RFC 9112, section 7.1.1)."""
    answered, _ = await answer_to(strict, CHUNKED + b"2;a=", *(b"a" * 1000,) * 4)
    assert (answered, backend.calls) == (431, [])


async def test_trailers_after_the_reply_get_no_second_reply(strict: Client) -> None:
    """After an early rejection the rest of the request is discarded, or closes the connection."""
    head = b"POST /v1/nothing HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    async with connection(strict) as (reader, writer):
        writer.write(head)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"0\r\nx: " + b"a" * 3000 + b"\r\n\r\n")
        assert b"HTTP/1.1" not in await reader.read()
