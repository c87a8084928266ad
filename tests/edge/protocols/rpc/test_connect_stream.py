"""Connect's streams."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import brotli
import grpc
import httpx
import pytest
from googleapis.google.rpc.status_pb import Status

from edge.contract.contract import Contract, read
from edge.protojson.parser import parse
from tests.edge.backend import Backend, Context
from tests.edge.contracts import compile_image
from tests.edge.protocols.rest.contract import FEEDS as STREAMS
from tests.edge.protocols.rpc.wire import connect_stream, sealed, unsealed
from tests.edge.served import Client, edge_of

FEEDS = "/feeds.v1.Feeds"
JSON = {"content-type": "application/connect+json"}
PROTO = {"content-type": "application/connect+proto"}


async def call(
    caller: Client, method: str, body: bytes, headers: dict[str, str] = JSON
) -> tuple[list[bytes], dict[str, Any]]:
    """Returns the messages and the EndStreamResponse of a call, whose status is always 200."""
    response = await caller.post(f"{FEEDS}/{method}", content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, headers["content-type"])
    return connect_stream(response.content)


async def refusal(caller: Client, method: str, body: bytes, headers: dict[str, str] = JSON) -> tuple[str, str]:
    """Returns the code and the message of a call that fails before any response."""
    messages, end = await call(caller, method, body, headers)
    assert messages == []
    return end["error"]["code"], end["error"]["message"]


def events(*texts: str) -> bytes:
    """Returns requests that the backend answers with themselves."""
    return sealed(*(json.dumps({"name": text}).encode() for text in texts))


async def test_one_for_many(caller: Client, source: Backend) -> None:
    """One request has many responses and an end with the trailing metadata."""

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata((("x-lead", "1"), ("x-secret", "no")))
        context.set_trailing_metadata((("x-trail", "2"), ("x-raw-bin", b"\xff"), ("x-trail", "3")))
        async for _ in requests:
            for number in (1, 2, 3):
                yield source.message("feeds.v1.Event", f'{{"number": {number}}}').to_binary()

    source.stream = stream
    response = await caller.post(f"{FEEDS}/Watch", content=sealed(b'{"name": "a", "newer": 1}'), headers=JSON)
    messages, end = connect_stream(response.content)
    assert messages == [b'{"number":1}', b'{"number":2}', b'{"number":3}']
    assert end == {"metadata": {"x-trail": ["2", "3"], "x-raw-bin": ["/w=="]}}
    assert (response.headers["x-lead"], "x-secret" in response.headers) == ("1", False)


async def test_many_for_one_and_many_for_many(caller: Client, source: Backend) -> None:
    """Client and bidirectional streams work half-duplex; a stream may have no messages."""
    points = sealed(b'{"number": 1}', b'{"track": "t"}')
    for method in ("Chat", "Record"):
        messages, end = await call(caller, method, points)
        assert (len(messages), end) == (2, {})
    assert await call(caller, "Chat", b"") == ([], {})
    binary = sealed(b"\x0a\x01a", b"")
    assert await call(caller, "Chat", binary, PROTO) == ([b"\x0a\x01a", b""], {})


async def test_messages_are_sent_at_once(caller: Client, source: Backend) -> None:
    """A client receives its first response before it sends its second request, over HTTP/1.1 too."""
    reader, writer = await asyncio.open_connection(caller.base_url.host, caller.base_url.port)
    head = f"POST {FEEDS}/Chat HTTP/1.1\r\nhost: x\r\ncontent-type: application/connect+proto\r\n"
    writer.write(head.encode() + b"transfer-encoding: chunked\r\n\r\n")
    for text in (b"one", b"two"):
        envelope = sealed(b"\x0a\x03" + text)
        for piece in (envelope[:3], envelope[3:7], envelope[7:]):
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await asyncio.sleep(0)
        await reader.readuntil(text)
    writer.write(b"0\r\n\r\n")
    await reader.readuntil(b"{}")
    writer.close()
    await writer.wait_closed()


async def test_an_error_ends_the_stream(caller: Client, source: Backend) -> None:
    """The EndStreamResponse after the messages has the error with details and metadata."""

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for _ in requests:
            yield source.message("feeds.v1.Event", '{"number": 1}').to_binary()
        status = Status(code=9, message="no ☹").to_binary()
        trailers = (("grpc-status-details-bin", status), ("x-trail", "2"))
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no", trailers)

    source.stream = stream
    messages, end = await call(caller, "Watch", events("a"))
    assert messages == [b'{"number":1}']
    assert end == {
        "error": {"code": "failed_precondition", "message": "no ☹"},
        "metadata": {"x-trail": ["2"]},
    }


async def test_a_damaged_response_ends_the_stream(caller: Client, source: Backend) -> None:
    """An invalid response message is an error of the service, and the client gets no internals."""

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for _request in requests:
            yield b"\x0a\x01a"
            yield b"\xff"

    source.stream = stream
    messages, end = await call(caller, "Watch", events("a"))
    assert messages == [b'{"text":"a"}']
    assert end["error"]["code"] == "internal"
    assert end["error"]["message"] == "The service sent an invalid response."


@pytest.mark.parametrize(
    ("method", "body", "headers", "code", "text"),
    [
        ("Watch", b"", JSON, "unimplemented", "This method takes exactly one message."),
        ("Watch", events("a", "b"), JSON, "unimplemented", "This method takes exactly one message."),
        ("Watch", b"\0\0\0", JSON, "invalid_argument", "The body ends inside a message."),
        ("Watch", sealed(b"{}")[:-1], JSON, "invalid_argument", "The body ends inside a message."),
        ("Watch", b"\0\xff\xff\xff\xff{}", JSON, "resource_exhausted", "The message is larger than 4096 bytes."),
        ("Watch", sealed(b" " * 4097), JSON, "resource_exhausted", "The message is larger than 4096 bytes."),
        ("Watch", sealed(b"{"), JSON, "invalid_argument", "The body is not JSON"),
        ("Watch", sealed(b'{"count": "x"}'), JSON, "invalid_argument", "count: "),
        ("Watch", sealed(b"\xff"), PROTO, "invalid_argument", "The message is not a valid feeds.v1.WatchRequest"),
        ("Watch", sealed(b"{}", flags=2), JSON, "invalid_argument", "A message has the flags 0x02"),
        ("Watch", sealed(b"{}", flags=0x80), JSON, "invalid_argument", "A message has the flags 0x80"),
        ("Watch", sealed(b"{}", flags=1), JSON, "internal", "A message is compressed, but no header names the coding."),
        (
            *("Watch", events("a"), {**JSON, "connect-content-encoding": "lzw"}),
            *("unimplemented", "The coding of the messages is not supported"),
        ),
        (
            *("Watch", sealed(b"{}", flags=1), {**JSON, "connect-content-encoding": "gzip"}),
            *("invalid_argument", "The message is not in the gzip format."),
        ),
        (
            *(
                "Watch",
                sealed(gzip.compress(b" " * 100_000, mtime=0), flags=1),
                {**JSON, "connect-content-encoding": "gzip"},
            ),
            *("resource_exhausted", "The message is larger than 4096 bytes."),
        ),
        (
            "Watch",
            events("a"),
            {**JSON, "connect-protocol-version": "2"},
            "invalid_argument",
            "The version of the Connect protocol",
        ),
        ("Watch", events("a"), {**JSON, "connect-timeout-ms": "x"}, "invalid_argument", "The header Connect-Timeout"),
        ("Watch", events("a"), {**JSON, "connect-timeout-ms": "0"}, "deadline_exceeded", "Connect-Timeout-Ms is 0"),
        ("Chat", b"\0\0\0", JSON, "invalid_argument", "The body ends inside a message."),
        ("Record", sealed(b'{"number": 1000}'), JSON, "invalid_argument", "number: "),
    ],
)
async def test_invalid_requests_are_rejected(
    caller: Client, source: Backend, method: str, body: bytes, headers: dict[str, str], code: str, text: str
) -> None:
    """The error is in the EndStreamResponse, the only place that the protocol has for it."""
    found = await refusal(caller, method, body, headers)
    assert found[0] == code
    assert found[1].startswith(text)


async def test_limits_on_streams(caller: Client, source: Backend) -> None:
    """Messages up to the limit are answered, then the call ends."""
    messages, end = await call(caller, "Chat", sealed(*[b'{"number": 1}'] * 6))
    assert len(messages) <= 5
    assert (end["error"]["code"], end["error"]["message"]) == (
        *("resource_exhausted", "The stream has more than 5 messages."),
    )
    async with asyncio.timeout(30):  # the call may be cancelled before the service has begun it
        while source.ended != [each.path for each in source.calls]:
            await asyncio.sleep(0.01)


async def test_a_slow_message_is_rejected(feeds: Contract, source: Backend) -> None:
    """A message that has begun must arrive in time; the time before the next one is not limited by this."""

    async def slow() -> AsyncIterator[bytes]:
        yield sealed(b'{"number": 1}')
        await asyncio.sleep(0.4)
        yield sealed(b'{"number": 2}')[:4]
        await asyncio.sleep(2)

    async with edge_of(feeds, source.port, body_timeout_s=0.3) as client:
        response = await client.post(f"{FEEDS}/Chat", content=slow(), headers=JSON)
    messages, end = connect_stream(response.content)
    assert (len(messages), end["error"]["code"]) == (1, "deadline_exceeded")


async def test_codings(caller: Client, source: Backend) -> None:
    """Each message is compressed separately, if that makes it smaller, in the client's preferred coding."""
    content = json.dumps({"name": "a" * 2000}).encode()
    headers = {**JSON, "connect-content-encoding": "gzip", "connect-accept-encoding": "br"}
    body = sealed(gzip.compress(content), flags=1) + sealed(b"", flags=1) + sealed(b'{"number": 1}')
    response = await caller.post(f"{FEEDS}/Chat", content=body, headers=headers)
    assert response.headers["connect-content-encoding"] == "br"
    *_, (flags, end) = unsealed(response.content)
    assert (flags, json.loads(end)["error"]["code"]) == (2, "invalid_argument"), "an empty message is no JSON"
    point = json.dumps({"track": "a" * 2000}).encode()
    body = sealed(gzip.compress(point), flags=1) + sealed(b'{"number": 1}')
    response = await caller.post(f"{FEEDS}/Chat", content=body, headers=headers)
    (first, large), (second, small), _ = unsealed(response.content)
    assert (first, parse(brotli.decompress(large))) == (1, {"text": "a" * 2000})
    assert (second, small) == (0, b'{"number":1}')
    response = await caller.post(f"{FEEDS}/Chat", content=body, headers={**JSON, "connect-content-encoding": "gzip"})
    assert response.headers["connect-content-encoding"] == "gzip", "who does not say takes what it sends"


async def test_a_client_that_disconnects_cancels_the_call(caller: Client, source: Backend) -> None:
    """The service's call is cancelled at once."""
    begun = asyncio.Event()

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request
        begun.set()
        await asyncio.sleep(60)

    source.stream = stream
    async with caller.stream("POST", f"{FEEDS}/Watch", content=events("a"), headers=JSON):
        await begun.wait()
    async with asyncio.timeout(30):
        while not source.ended:
            await asyncio.sleep(0.01)


async def test_a_server_that_stops_ends_its_streams(feeds: Contract, source: Backend) -> None:
    """Streams end with the code that asks clients to retry."""

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request
        await asyncio.sleep(60)

    source.stream = stream
    async with httpx.AsyncClient() as client:
        async with edge_of(feeds, source.port, shutdown_grace_s=5) as edge:
            url = f"http://127.0.0.1:{edge.base_url.port}{FEEDS}/Watch"
            request = client.build_request("POST", url, content=events("a"), headers=JSON)
            response = await client.send(request, stream=True)
            pieces = response.aiter_raw()
            body = await anext(pieces)
        body += b"".join([piece async for piece in pieces])
    messages, end = connect_stream(body)
    assert (len(messages), end["error"]["code"]) == (1, "unavailable")


async def test_streams_have_no_other_types(caller: Client) -> None:
    """A streaming method rejects the types of unary calls with 415, as Connect demands."""
    response = await caller.post(f"{FEEDS}/Watch", json={})
    assert (response.status_code, response.json()["code"]) == (415, "unknown")
    assert "application/connect+json" in response.headers["accept-post"]
    assert (await caller.get(f"{FEEDS}/Watch")).status_code == 405


async def test_streams_without_side_effects_have_no_get(source: Backend, tmp_path: Path) -> None:
    """GET is for unary methods: a stream is not called by it, even if it has no side effects."""
    watch = "rpc Watch(WatchRequest) returns (stream Event) {"
    text = STREAMS.replace(watch, f"{watch} option idempotency_level = NO_SIDE_EFFECTS;")
    contract = read(compile_image(text, tmp_path))
    assert not next(method for method in contract.methods if method.name == "feeds.v1.Feeds.Watch").has_effects
    async with edge_of(contract, source.port) as client:
        response = await client.get(f"{FEEDS}/Watch", params={"encoding": "json", "message": "{}"})
    assert (response.status_code, response.headers["allow"], source.calls) == (405, "OPTIONS, POST", [])


@pytest.mark.parametrize("headers", [JSON, PROTO])
async def test_an_unknown_procedure(caller: Client, headers: dict[str, str]) -> None:
    """An HTTP error has a Connect code too."""
    response = await caller.post(f"{FEEDS}/Nope", content=b"", headers=headers)
    assert (response.status_code, response.json()["code"]) == (404, "unimplemented")
