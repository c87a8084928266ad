"""Streams over WebSocket: frames in both directions, and close codes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edge.contract.contract import Contract
from mesh.identity import Verifier
from tests.edge.backend import Backend, Context
from tests.edge.served import Client, edge_of
from tests.issuer import AUDIENCE, ISSUER, Issuer

CHAT = "/v1/tracks/a:chat"
WATCH = "/v1/feeds/x:watch"


@contextlib.asynccontextmanager
async def opened(client: Client, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
    """Opens a WebSocket to the edge of this client."""
    url = f"ws://{client.base_url.host}:{client.base_url.port}{path}"
    async with connect(url, proxy=None, **options) as socket:
        yield socket


async def closing(socket: ClientConnection) -> tuple[int, str, list[Any]]:
    """Returns the code and the reason in the close frame, and the frames before it."""
    frames: list[Any] = []
    with contextlib.suppress(ConnectionClosed):
        while True:
            frames.append(await socket.recv())
    assert socket.close_code is not None, "the connection broke"
    return socket.close_code, socket.close_reason or "", frames


def ends(source: Backend, status: grpc.StatusCode, text: str, *messages: bytes) -> None:
    """Makes the backend answer with messages and then fail."""

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        for message in messages:
            yield message
        await context.abort(status, text)

    source.stream = stream


async def test_a_bidirectional_stream(reader: Client, source: Backend) -> None:
    """Each frame is a message, only the first has the fields of the path, and an empty frame ends the client's
    messages.
    """
    async with opened(reader, CHAT) as socket:
        await socket.send('{"number": 1}')
        assert await socket.recv() == '{"text":"tracks/a","number":1}'
        await socket.send('{"number": 2}')
        assert await socket.recv() == '{"number":2}'
        await socket.send("")
        assert await closing(socket) == (1000, "", [])


async def test_a_stream_of_requests(reader: Client, source: Backend) -> None:
    """The stream is answered with one message."""

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        count = len([request async for request in requests])
        yield source.message("feeds.v1.Summary", json.dumps({"count": count})).to_binary()

    source.stream = stream
    async with opened(reader, "/v1/tracks/a/points") as socket:
        for number in range(3):
            await socket.send(json.dumps({"number": number}))
        await socket.send("")
        assert await closing(socket) == (1000, "", ['{"count":3}'])


async def test_a_stream_of_responses_from_the_url(reader: Client, source: Backend) -> None:
    """No frame is needed if the rule has no body; several HTTP methods at a URL share one WebSocket."""
    async with opened(reader, f"{WATCH}?count=3&$fields=number") as socket:
        assert await closing(socket) == (1000, "", ['{"number":3}'])


async def test_a_stream_of_responses_from_a_frame(reader: Client, source: Backend) -> None:
    """The single frame is the body of the rule."""
    async with opened(reader, "/v1/watch") as socket:
        await socket.send('{"name": "y"}')
        assert await closing(socket) == (1000, "", ['{"text":"y"}'])


async def test_a_file_in_binary_frames(reader: Client, source: Backend) -> None:
    """Files of any bytes are sent in both directions."""
    async with opened(reader, "/v1/transform") as socket:
        await socket.send(b"\x00\xff")
        assert await socket.recv() == b"\x00\xff"
        await socket.send("")
        assert await closing(socket) == (1000, "", [])


@pytest.mark.parametrize("status", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_the_close_code_is_the_status(reader: Client, source: Backend, status: grpc.StatusCode) -> None:
    """The close code is 4000 plus the gRPC code; a frame before it has the whole error."""
    ends(source, status, "why " * 100, b"")
    async with opened(reader, WATCH) as socket:
        code, reason, frames = await closing(socket)
    assert code == 4000 + status.value[0]
    assert reason.startswith(f"{status.name}: ")
    assert len(reason.encode()) <= 123
    assert frames[0] == "{}"
    assert json.loads(frames[1])["error"]["status"] == status.name


async def test_a_reason_is_cut_between_characters(reader: Client, source: Backend) -> None:
    """The reason never ends inside a character of several bytes."""
    ends(source, grpc.StatusCode.NOT_FOUND, "é" * 100)
    async with opened(reader, WATCH) as socket:
        code, reason, _ = await closing(socket)
    assert (code, reason.rstrip("é")) == (4005, "NOT_FOUND: ")


@pytest.mark.parametrize(
    ("path", "frames", "code", "field"),
    [
        (CHAT, ['{"number": "x"}'], 4003, "[0].number"),
        (CHAT, ["{}", '{"nope": 1}'], 4003, "[1].nope"),
        (CHAT, ["{"], 4003, "[0]"),
        (CHAT, [" "], 4003, "[0]"),
        (CHAT, ['{"track": "tracks/b"}'], 4003, "[0].track"),
        ("/v1/watch", ['{"nope": 1}'], 4003, "nope"),
        ("/v1/watch", ["[]"], 4003, "body"),
    ],
)
async def test_invalid_messages(
    reader: Client, source: Backend, path: str, frames: list[str], code: int, field: str
) -> None:
    """Violations have the same names as over HTTP."""
    async with opened(reader, path) as socket:
        for frame in frames:
            await socket.send(frame)
        closed, _, got = await closing(socket)
    details = json.loads(got[-1])["error"]["details"]
    assert (closed, details[-1]["fieldViolations"][0]["field"]) == (code, field)


@pytest.mark.parametrize(
    ("path", "frames", "code"),
    [
        (CHAT, [b"{}"], 1003),
        ("/v1/transform", ["text"], 1003),
        (CHAT, ["{}", "", "{}"], 4003),
        ("/v1/watch", ["{}", "{}"], 4003),
        (WATCH, ["{}"], 4003),
    ],
)
async def test_unexpected_frames(
    reader: Client, source: Backend, path: str, frames: list[str | bytes], code: int
) -> None:
    """A frame of the wrong kind, or after the end of the messages, ends the call."""

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for _request in requests:
            pass
        await asyncio.Event().wait()
        yield b""

    source.stream = stream
    async with opened(reader, path) as socket:
        for frame in frames:
            await socket.send(frame)
        assert (await closing(socket))[0] == code
    while not source.ended:
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/v1/nowhere", 404, "ROUTE_NOT_FOUND"),
        ("/v1/feeds/x", 404, "ROUTE_NOT_FOUND"),
        ("/v1/%zz", 400, "MALFORMED_PATH"),
        (f"{WATCH}?nope=1", 400, "FIELD_UNKNOWN"),
        ("/v1/x/points", 400, "INVALID_VALUE"),
        (f"{WATCH}?$alt=sse", 400, "INVALID_VALUE"),
    ],
)
async def test_a_rejected_handshake_is_an_http_error(
    reader: Client, source: Backend, path: str, status: int, reason: str
) -> None:
    """The response has an HTTP status and the shape of all errors."""
    with pytest.raises(InvalidStatus) as caught:
        async with opened(reader, path):
            pass
    response = caught.value.response
    assert (response.status_code, response.headers["content-type"]) == (status, "application/json")
    assert reason in bytes(response.body or b"").decode()
    assert source.calls == []


async def test_tokens(feeds: Contract, source: Backend, issuer: Issuer) -> None:
    """The token is in the header or in a subprotocol, which is not sent back."""
    path = "/v1/feeds/x:private"
    token, other = issuer.token("users/ada", "feeds.read"), issuer.token("users/ada", "other")
    statuses = []
    async with edge_of(feeds, source.port, verifier=Verifier(issuer, ISSUER, AUDIENCE)) as client:
        for options in ({}, {"subprotocols": ["protojson", f"bearer.{other}"]}, {"subprotocols": ["bearer.x"]}):
            with pytest.raises(InvalidStatus) as caught:
                async with opened(client, path, **options):
                    pass
            statuses.append(caught.value.response.status_code)
        async with opened(client, path, subprotocols=["protojson", f"bearer.{token}"]) as socket:
            assert socket.subprotocol == "protojson"
            assert socket.response is not None
            assert "ratelimit" in socket.response.headers
            assert (await closing(socket))[0] == 1000
        async with opened(client, path, additional_headers={"authorization": f"Bearer {token}"}) as socket:
            assert socket.subprotocol is None
            assert (await closing(socket))[0] == 1000
    assert statuses == [401, 403, 401]
    assert source.calls[0].metadata["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("https://evil.example", False),
        ("null", False),
        ("http://HOST", True),
        ("HTTP://HOST", True),
        ("http://HOST/", False),
        ("http://[", False),
        ("http://[HOST", False),
        ("http://\xff", False),
        ("", False),
    ],
)
async def test_scripts_of_other_origins(feeds: Contract, source: Backend, origin: str, allowed: bool) -> None:
    """Scripts of other origins may open a WebSocket only if CORS allows them; those of the edge's own origin always
    may.
    """
    async with edge_of(feeds, source.port, cors_origins="https://app.example") as client:
        given: Any = origin.replace("HOST", f"{client.base_url.host}:{client.base_url.port}")
        if allowed:
            async with opened(client, WATCH, origin=given) as socket:
                assert (await closing(socket))[0] == 1000
            return
        with pytest.raises(InvalidStatus) as caught:
            async with opened(client, WATCH, origin=given):
                pass
    assert caught.value.response.status_code == 403
    assert source.calls == []


async def test_a_client_that_disconnects_cancels_the_call(
    reader: Client, source: Backend, capsys: pytest.CaptureFixture[str]
) -> None:
    """The call is cancelled with or without a close frame, and logged as such."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    source.stream = stream
    for number in range(2):
        async with opened(reader, CHAT if number else WATCH) as socket:
            await socket.recv()
            if number:
                socket.transport.abort()
        while len(source.ended) <= number:
            await asyncio.sleep(0.01)
    lines = [line for line in capsys.readouterr().out.splitlines() if "method=WEBSOCKET" in line]
    assert ["code=CANCELLED" in line and "status=101" in line for line in lines] == [True, True]


async def test_sizes_are_in_bytes(reader: Client, source: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    """The log has the sizes of text frames in UTF-8, of messages and of errors."""
    event = source.message("feeds.v1.Event", '{"text": "ü😀"}').to_binary()

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for _request in requests:
            yield event

    source.stream = stream
    sent = ['{"place": {"label": "é"}}', '{"ü": 1}']
    async with opened(reader, CHAT) as socket:
        await socket.send(sent[0])
        received = [await socket.recv()]
        await socket.send(sent[1])
        received += (await closing(socket))[2]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "method=WEBSOCKET" in line]
    sizes = [sum(len(str(text).encode()) for text in texts) for texts in (sent, received)]
    assert f" request_bytes={sizes[0]} " in line
    assert f" response_bytes={sizes[1]} " in line


async def test_streams_end_when_the_edge_stops(feeds: Contract, source: Backend) -> None:
    """The close code is that of a restart, and the error asks to reconnect."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    source.stream = stream
    async with contextlib.AsyncExitStack() as stack:
        async with edge_of(feeds, source.port) as client:
            socket = await stack.enter_async_context(opened(client, WATCH))
            await socket.recv()
            ending = asyncio.create_task(closing(socket))
        code, reason, frames = await ending
    assert (code, reason[:12]) == (1012, "UNAVAILABLE:")
    assert json.loads(frames[0])["error"]["details"][0]["reason"] == "SHUTTING_DOWN"


LIMITS: dict[str, Any] = {
    "body_bytes_max": 1000,
    "stream_bytes_max": 5000,
    "stream_messages_max": 20,
    "concurrent_streams_max": 2,
}


@pytest.fixture
async def strict(feeds: Contract, source: Backend) -> AsyncIterator[Client]:
    """Returns a client of an edge with tight limits."""
    async with edge_of(feeds, source.port, **LIMITS) as client:
        yield client


@pytest.mark.parametrize(
    ("frames", "code", "reason"),
    [
        (['{"track": "' + "x" * 2000 + '"}'], 1009, ""),
        (["{}"] * 21, 4003, "TOO_MANY_MESSAGES"),
        ([json.dumps({"place": {"label": "x" * 900}})] * 6, 4003, "BODY_TOO_LARGE"),
        (['{"place": {"label": "' + "é" * 400 + '"}}'] * 7, 4003, "BODY_TOO_LARGE"),
    ],
)
async def test_limits(strict: Client, source: Backend, frames: list[str], code: int, reason: str) -> None:
    """The size and the number of messages, and their total size are limited."""
    async with opened(strict, "/v1/points") as socket:
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                await socket.send(frame)
        closed, _, got = await closing(socket)
    assert closed == code
    assert reason in str(got)


@pytest.mark.parametrize("frames", [[], ["{}"]])
async def test_an_idle_stream_is_closed(feeds: Contract, source: Backend, frames: list[str]) -> None:
    """The idle time is limited."""
    async with edge_of(feeds, source.port, stream_idle_s=0.3) as client, opened(client, "/v1/points") as socket:
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                await socket.send(frame)
        closed, _, got = await closing(socket)
    assert closed == 4004
    assert "STREAM_IDLE" in str(got)


async def test_streams_over_the_limit(strict: Client, source: Backend) -> None:
    """WebSockets count with the streams over HTTP, and are rejected before they open."""
    async with opened(strict, CHAT), opened(strict, CHAT):
        with pytest.raises(InvalidStatus) as caught:
            async with opened(strict, CHAT):
                pass
        assert caught.value.response.status_code == 503


async def test_a_client_may_be_silent_in_one_direction(feeds: Contract, source: Backend) -> None:
    """Messages of the service keep the stream from being idle."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        for _number in range(25):  # together longer than the limit, each much shorter
            yield b""
            await asyncio.sleep(0.1)

    source.stream = stream
    async with edge_of(feeds, source.port, stream_idle_s=2) as client, opened(client, CHAT) as socket:
        assert (await closing(socket))[0] == 1000
