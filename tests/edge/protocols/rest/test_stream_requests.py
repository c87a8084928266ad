"""Streams of requests: messages from a JSON array or NDJSON as they arrive, and invalid ones among them."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import brotli
import grpc
import pytest

from edge.contract.contract import Contract
from edge.http.small_pieces import SMALL_BYTES_MAX
from edge.protocols.rest.stream_splitters import ArraySplitter, LineSplitter
from tests.edge.backend import Backend, Context
from tests.edge.protocols.rest.wire import wire
from tests.edge.served import Client, edge_of

LINES = {"content-type": "application/x-ndjson"}
ARRAY = {"content-type": "application/json"}
LINES_TYPE = {"content_type": "application/x-ndjson"}
JSON_TYPE = {"content_type": "application/json"}


@pytest.fixture
def received(source: Backend) -> list[dict[str, Any]]:
    """Returns a list of the messages that the service receives, as JSON; it answers with their number."""
    points: list[dict[str, Any]] = []
    desc = source.registry.message("feeds.v1.Point")
    assert desc is not None

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            points.append(json.loads(desc.type.from_binary(request).to_json()))  # noqa: PERF401 # seen one by one
        yield source.message("feeds.v1.Summary", json.dumps({"count": len(points)})).to_binary()

    source.stream = stream
    return points


def numbers(*given: int) -> list[dict[str, Any]]:
    """Returns points with these numbers."""
    return [{"number": number} for number in given]


def as_lines(messages: list[Any]) -> bytes:
    """Returns the messages as NDJSON."""
    return b"".join(json.dumps(message).encode() + b"\n" for message in messages)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (LINES, b'{"number":1}\n{"number":2}\n'),
        (LINES, b'\n{"number":1}\r\n\n  \n{"number":2}'),
        ({"content-type": "application/jsonl; charset=utf-8"}, b'{"number":1}\n{"number":2}\n'),
        (ARRAY, b'[{"number":1},{"number":2}]'),
        (ARRAY, b' [ {"number" : 1 } \n,\n {"number":2}\n]\n'),
        ({}, b'[{"number":1},{"number":2}]'),
        ({**ARRAY, "content-encoding": "gzip"}, gzip.compress(b'[{"number":1},{"number":2}]', mtime=0)),
        ({**LINES, "content-encoding": "br"}, brotli.compress(b'{"number":1}\n{"number":2}')),
    ],
)
async def test_messages_are_found(
    reader: Client, received: list[dict[str, Any]], headers: dict[str, str], body: bytes
) -> None:
    """Messages are found in lines and in an array with any white space; only the first has the fields of the path."""
    response = await reader.post("/v1/tracks/a/points", content=body, headers=headers)
    assert (response.status_code, response.json()) == (200, {"count": 2})
    assert received == [{"track": "tracks/a", "number": 1}, {"number": 2}]


@pytest.mark.parametrize(
    ("url", "headers", "body", "expected"),
    [
        ("/v1/points", ARRAY, b"[]", []),
        ("/v1/points", LINES, b"", []),
        ("/v1/points", ARRAY, b"", []),
        ("/v1/tracks/a/points", ARRAY, b"[]", []),
        ("/v1/tracks/a/points", ARRAY, b"", [{"track": "tracks/a"}]),
        ("/v1/tracks/a/places?number=3", LINES, b"", [{"track": "tracks/a", "number": 3}]),
        (
            "/v1/tracks/a/places?number=3",
            LINES,
            b'{"label":"x"}\n{"label":"y"}',
            [{"track": "tracks/a", "number": 3, "place": {"label": "x"}}, {"place": {"label": "y"}}],
        ),
    ],
)
async def test_the_url_belongs_to_the_first_message(
    reader: Client,
    received: list[dict[str, Any]],
    url: str,
    headers: dict[str, str],
    body: bytes,
    expected: list[dict[str, Any]],
) -> None:
    """A request without a body has one message if its URL sets fields; an empty array has none."""
    response = await reader.post(url, content=body, headers=headers)
    assert (response.status_code, received) == (200, expected)


async def test_a_message_arrives_before_the_next_is_sent(reader: Client, source: Backend) -> None:
    """A message is sent on with its last bracket, before the comma or the line feed, even if the stream takes a
    minute.
    """
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            await seen.put(request)
        yield b""

    source.stream = stream

    async def body() -> AsyncIterator[bytes]:
        for piece in (b"[", b'{"number":', b"1}", b',{"number":2}', b"]"):
            yield piece
            if piece.endswith(b"}"):
                await seen.get()

    assert (await reader.post("/v1/points", content=body(), headers=ARRAY)).status_code == 200


@pytest.mark.parametrize("wrap", [as_lines, lambda messages: json.dumps(messages).encode()])
@pytest.mark.parametrize(
    ("messages", "violations"),
    [
        ([{"number": "x"}], {"[0].number": "INVALID_VALUE"}),
        ([*numbers(1, 2, 3), {"number": 1.5, "nope": 1}], {"[3].number": "INVALID_VALUE", "[3].nope": "FIELD_UNKNOWN"}),
        ([*numbers(1), {"number": 1000}], {"[1].number": "INT32_LT"}),
        ([*numbers(1), 7], {"[1]": "INVALID_VALUE"}),
        ([{"track": "tracks/b"}], {"[0].track": "FIELD_GIVEN_TWICE"}),
        ([{"place": {"label": 1}}], {"[0].place.label": "INVALID_VALUE"}),
    ],
)
async def test_an_invalid_message_is_named_by_its_index(
    reader: Client,
    received: list[dict[str, Any]],
    source: Backend,
    wrap: Callable[[Any], bytes],
    messages: list[Any],
    violations: dict[str, str],
) -> None:
    """All its violations are listed; the service receives the messages before it, and then the call is cancelled."""
    headers = LINES if wrap is as_lines else ARRAY
    assert await reader.violations("POST", "/v1/tracks/a/points", content=wrap(messages), headers=headers) == violations
    while not source.ended and source.calls:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("headers", "body", "field"),
    [
        (LINES, b'{"number":1}\n{"number"\n', "[1]"),
        (LINES, b'{"number":1}\n\xff\n', "[1]"),
        (LINES, b'{"number":1}{"number":2}\n', "[0]"),
        (LINES, b'[{"number":1}]\n', "[0]"),
        (ARRAY, b'{"number":1}', "[0]"),
        (ARRAY, b'[{"number":1},]', "[1]"),
        (ARRAY, b'[{"number":1}', "[1]"),
        (ARRAY, b'[{"number":1}{"number":2}]', "[1]"),
        (ARRAY, b'[{"number":1}] x', "[1]"),
        (ARRAY, b'[{"number":1]]', "[0]"),
        (ARRAY, b'[{"number":1}, {"track":"\xff"}]', "[1]"),
        (ARRAY, b'[{"number":1},' + b"[" * 100, "[1]"),
        (ARRAY, b'[{"number":NaN}]', "[0]"),
    ],
)
async def test_malformed_streams_of_json_are_rejected(
    reader: Client, received: list[dict[str, Any]], headers: dict[str, str], body: bytes, field: str
) -> None:
    """The error has the index of the malformed message."""
    assert list(await reader.violations("POST", "/v1/points", content=body, headers=headers)) == [field]


async def test_the_url_is_checked_before_the_body(reader: Client, source: Backend) -> None:
    """Violations in the URL have no index, because they concern no message."""
    headers = {**ARRAY, "x-request-id": "this-one"}  # a call that another test left may come late
    violations = await reader.violations("POST", "/v1/x/points?nope=1", content=b"[", headers=headers)
    assert violations == {"number": "INVALID_VALUE", "nope": "FIELD_UNKNOWN"}
    assert "this-one" not in [call.metadata["x-request-id"] for call in source.calls]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({**ARRAY, "content-encoding": "zstd"}, 415),
        ({**ARRAY, "content-encoding": "gzip"}, 400),
        ({**ARRAY, "content-encoding": "br"}, 400),
    ],
)
async def test_types_and_codings(reader: Client, source: Backend, headers: dict[str, str], status: int) -> None:
    """The error for an unsupported type or coding lists the supported ones; a body not in its coding is damaged."""
    response = await reader.post("/v1/points", content=b"[] and more", headers=headers)
    assert response.status_code == status
    if status == 415:
        assert response.headers.keys() & {"accept", "accept-encoding"}


@pytest.mark.parametrize("count", [0, 2])
async def test_a_service_must_send_exactly_one_response(reader: Client, source: Backend, count: int) -> None:
    """No response, or more than one, is an error of the service."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        for message in [b""] * count:
            yield message

    source.stream = stream
    assert (await reader.post("/v1/points", content=b"[]", headers=ARRAY)).status_code == 502


LIMITS: dict[str, Any] = {
    "body_bytes_max": 1000,
    "stream_bytes_max": 5000,
    "stream_messages_max": 20,
}


@pytest.fixture
async def strict(feeds: Contract, source: Backend) -> AsyncIterator[Client]:
    """Returns a client of an edge with tight limits."""
    async with edge_of(feeds, source.port, **LIMITS) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        (ARRAY, b'["' + b"a" * 2000, 413, "MESSAGE_TOO_LARGE"),
        (LINES, b'"' + b"a" * 2000, 413, "MESSAGE_TOO_LARGE"),
        (LINES, b'"' + b"a" * 2000 + b'"\n', 413, "MESSAGE_TOO_LARGE"),
        (ARRAY, b"[" + b"1" * 2000, 413, "MESSAGE_TOO_LARGE"),
        (ARRAY, b"[" + b" " * 6000, 413, "BODY_TOO_LARGE"),
        (LINES, b"\n" * 6000, 413, "BODY_TOO_LARGE"),
        (LINES, b"{}\n" * 21, 413, "TOO_MANY_MESSAGES"),
        (ARRAY, b"[" + b"{}," * 21, 413, "TOO_MANY_MESSAGES"),
        ({**LINES, "content-encoding": "gzip"}, gzip.compress(b"\n" * 10_000_000, mtime=0), 413, "BODY_TOO_LARGE"),
        ({**LINES, "content-encoding": "br"}, brotli.compress(b"\n" * 10_000_000), 413, "BODY_TOO_LARGE"),
    ],
)
async def test_limits(
    strict: Client,
    received: list[dict[str, Any]],
    headers: dict[str, str],
    body: bytes,
    status: int,
    reason: str,
) -> None:
    """The size of a message, the total size and the number of messages are limited, after decompression."""
    response = await strict.post("/v1/points", content=body, headers=headers)
    assert response.status_code == status
    detail = response.json()["error"]["details"][0]
    assert detail["reason"] == reason
    assert any(name.startswith("limit_") for name in detail["metadata"])


@pytest.mark.parametrize(
    ("splitter", "headers", "text"),
    [(LineSplitter, LINES, b"\n" * 2_000_000), (ArraySplitter, ARRAY, b"[" + b"[[],[],[]]," * 200_000)],
)
async def test_others_have_their_turn_while_a_compressed_body_is_split(
    monkeypatch: pytest.MonkeyPatch,
    reader: Client,
    received: list[dict[str, Any]],
    splitter: type[LineSplitter | ArraySplitter],
    headers: dict[str, str],
    text: bytes,
) -> None:
    """Two kilobytes of gzip are two megabytes to split, of which few are split between two turns of other tasks."""
    fed, most = 0, 0
    feed = splitter.feed

    def counted(self: Any, piece: bytes) -> Iterator[bytes]:
        nonlocal fed
        fed += len(piece)
        return feed(self, piece)

    async def watch() -> None:
        nonlocal fed, most
        while True:
            most, fed = max(most, fed), 0
            await asyncio.sleep(0)

    monkeypatch.setattr(splitter, "feed", counted)
    watching = asyncio.create_task(watch())
    body = gzip.compress(text, mtime=0)
    await reader.post("/v1/points", content=body, headers={**headers, "content-encoding": "gzip"})
    watching.cancel()
    assert 0 < most <= SMALL_BYTES_MAX


async def test_a_silent_client_times_out(feeds: Contract, source: Backend, received: list[dict[str, Any]]) -> None:
    """The stream ends when the client has sent nothing for the idle time, and the connection is closed."""
    async with edge_of(feeds, source.port, stream_idle_s=0.3) as client, wire(client) as connection:
        await connection.begin("POST", "/v1/points", **JSON_TYPE)
        await connection.send(b'[{"number":1},')
        status, headers = await connection.head()
        assert (status, headers["connection"], len(received)) == (408, "close", 1)


async def test_a_client_that_disconnects_while_sending(
    reader: Client, source: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    """The call is cancelled, and the log has status 499."""
    async with wire(reader) as connection:
        await connection.begin("POST", "/v1/points", **JSON_TYPE)
        await connection.send(b'[{"number":1},')
        while not source.calls:
            await asyncio.sleep(0.01)
    while not source.ended:
        await asyncio.sleep(0.01)
    assert "status=499" in capsys.readouterr().out


async def test_a_service_that_ends_early_ends_the_request(reader: Client, source: Backend) -> None:
    """The client receives the status while it is still sending."""

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await anext(requests)
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
        yield b""

    source.stream = stream
    async with wire(reader) as connection:
        await connection.begin("POST", "/v1/points", **JSON_TYPE)
        await connection.send(b'[{"number":1},')
        assert (await connection.head())[0] == 429


async def test_both_ways_at_once(reader: Client, source: Backend) -> None:
    """Each message is answered before the next one is sent."""
    async with wire(reader) as connection:
        await connection.begin("POST", "/v1/tracks/a:chat", **LINES_TYPE, accept="application/x-ndjson")
        for number in range(1, 4):
            await connection.send(b'{"number":%d}\n' % number)
            if number == 1:
                assert (await connection.head())[0] == 200
                assert await connection.chunk() == b'{"text":"tracks/a","number":1}\n'
            else:
                assert await connection.chunk() == b'{"number":%d}\n' % number
        await connection.send(b"")
        assert await connection.chunk() == b""


async def test_an_invalid_message_after_the_first_response_is_in_the_syntax(reader: Client, source: Backend) -> None:
    """The error in the syntax of the stream also has the index of the message."""
    async with wire(reader) as connection:
        await connection.begin("POST", "/v1/tracks/a:chat", **LINES_TYPE, accept="application/x-ndjson")
        await connection.send(b'{"number":1}\n')
        assert (await connection.head())[0] == 200
        await connection.chunk()
        await connection.send(b'{"number":"x"}\n')
        error = json.loads(await connection.rest())["error"]
    assert error["details"][-1]["fieldViolations"][0]["field"] == "[1].number"
