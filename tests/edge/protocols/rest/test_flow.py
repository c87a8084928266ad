"""The flow of streams: messages sent at once, back-pressure, cancellation and timeouts."""

import asyncio
import contextlib
import json
import os
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from edge.contract.contract import Contract, read
from mesh.identity import Verifier
from tests.edge.backend import Backend, Context
from tests.edge.contracts import compile_image
from tests.edge.protocols.rest.contract import FEEDS
from tests.edge.protocols.rest.wire import Wire, wire
from tests.edge.served import Client, edge_of
from tests.issuer import AUDIENCE, ISSUER, Issuer

EVENTS, LINES, ARRAY = "text/event-stream", "application/x-ndjson", "application/json"
WATCH = "/v1/feeds/x:watch"


@pytest.fixture
def feed(source: Backend) -> "asyncio.Queue[bytes | None]":
    """Returns a queue of the service's responses; None ends them."""
    messages: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        while (message := await messages.get()) is not None:
            yield message

    source.stream = stream
    return messages


@pytest.mark.parametrize("accept", [EVENTS, LINES, ARRAY])
async def test_each_message_is_flushed(
    reader: Client, source: Backend, feed: "asyncio.Queue[bytes | None]", accept: str
) -> None:
    """The client receives each message before the next one exists."""
    async with wire(reader) as connection:
        await connection.begin("GET", WATCH, accept=accept)
        for number in range(1, 4):
            feed.put_nowait(source.message("feeds.v1.Event", json.dumps({"number": number})).to_binary())
            if number == 1:
                assert (await connection.head())[0] == 200
            while (piece := await connection.chunk()) == b":\n\n":
                pass
            assert b'{"number":%d}' % number in piece
        feed.put_nowait(None)
        await connection.rest()


@pytest.mark.parametrize("accept", [EVENTS, LINES])
async def test_a_quiet_stream_has_its_headers(
    reader: Client, source: Backend, feed: "asyncio.Queue[bytes | None]", accept: str
) -> None:
    """The headers arrive before any message; events have heartbeats, NDJSON has none."""
    async with wire(reader) as connection:
        await connection.begin("GET", WATCH, accept=accept)
        status, headers = await connection.head()
        assert (status, headers["content-type"], headers["cache-control"]) == (200, accept, "no-store")
        if accept == EVENTS:
            assert [await connection.chunk() for _ in range(3)] == [b":\n\n"] * 3
        feed.put_nowait(source.message("feeds.v1.Event").to_binary())
        feed.put_nowait(None)
        assert (await connection.rest()).replace(b":\n\n", b"").startswith(b"{}" if accept == LINES else b"data: {}")


async def test_a_client_that_leaves_cancels_the_call(
    reader: Client, source: Backend, feed: "asyncio.Queue[bytes | None]", capsys: pytest.CaptureFixture[str]
) -> None:
    """A client that disconnects from a quiet stream cancels the call, and the log has status 499."""
    async with wire(reader) as connection:
        await connection.begin("GET", WATCH, accept=EVENTS)
        await connection.head()
    while not source.ended:
        await asyncio.sleep(0.01)
    assert "status=499" in capsys.readouterr().out


async def test_a_client_that_does_not_read_slows_the_service(feeds: Contract, source: Backend) -> None:
    """A slow client uses no memory; one that never reads is disconnected."""
    given: list[int] = []

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        message = source.message("feeds.v1.Event", json.dumps({"text": "x" * 100_000})).to_binary()
        while True:
            given.append(len(given))
            yield message

    @contextlib.asynccontextmanager
    async def unread(stall_s: float) -> AsyncIterator[None]:
        async with edge_of(feeds, source.port, stall_s=stall_s) as client, wire(client) as connection:
            connection.writer.transport.pause_reading()  # type: ignore[attr-defined] # it can be read from
            # Without this, the kernel could let the buffer grow beyond the limit below.
            connection.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            await connection.begin("GET", WATCH, accept=LINES)
            yield

    async def ended() -> None:
        while not source.ended:
            await asyncio.sleep(0.05)

    source.stream = stream
    async with unread(stall_s=3600):
        before = -1
        while len(given) != before or not given:
            before = len(given)
            await asyncio.sleep(0.4)
        assert before < 300
        assert not source.ended
    await ended()
    source.ended.clear()
    async with unread(stall_s=0.5):
        await ended()


async def test_a_slow_client_receives_everything(feeds: Contract, source: Backend) -> None:
    """A client that reads slowly receives all messages."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        message = source.message("feeds.v1.Event", json.dumps({"text": "x" * 100_000})).to_binary()
        for _number in range(100):
            yield message

    source.stream = stream
    async with edge_of(feeds, source.port, stall_s=0.5) as client, wire(client) as connection:
        await connection.begin("GET", WATCH, accept=LINES)
        await connection.head()
        size_bytes = 0
        while piece := await connection.chunk():
            size_bytes += len(piece)
            await asyncio.sleep(0.01)
    assert size_bytes == 100 * len('{"text":""}\n') + 100 * 100_000


async def test_a_service_that_does_not_read_slows_the_client(reader: Client, source: Backend) -> None:
    """An endless array waits in the client and not in the memory of the edge."""
    go = asyncio.Event()

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        await go.wait()
        async for _request in requests:
            pass
        yield b""

    source.stream = stream
    message = json.dumps({"place": {"label": "x" * 100_000}}).encode()
    sent = 0
    async with wire(reader) as connection:
        await connection.begin("POST", "/v1/points", content_type=ARRAY)
        await connection.send(b"[{}")
        try:
            while True:
                async with asyncio.timeout(1):
                    await connection.send(b"," + message)
                sent += 1
        except TimeoutError:
            assert 0 < sent < 300
        go.set()
        await connection.writer.drain()
        await connection.send(b"]")
        await connection.send(b"")
        assert (await connection.head())[0] == 200


async def test_the_contracts_timeout_ends_a_stream(reader: Client, source: Backend, feed: Any) -> None:
    """After the stream has started, the timeout is an error in its syntax."""
    feed.put_nowait(b"")
    answer = (await reader.get("/v1/feeds/x:brief")).json()
    assert [answer[0], answer[1]["error"]["status"]] == [{}, "DEADLINE_EXCEEDED"]


async def test_the_client_may_shorten_the_timeout(reader: Client, source: Backend, feed: Any) -> None:
    """Before the first message the timeout is the status; a method without a timeout has that of the settings."""
    while not source.calls:  # a call may not get there in that time
        response = await reader.get(WATCH, headers={"x-server-timeout": "0.2"})
        assert response.status_code == 504
    assert (source.calls[-1].remaining_s or 0) > 1  # the edge alone keeps the client's
    while len(source.ended) < len(source.calls):  # wait, or such a call would take the item for the next
        await asyncio.sleep(0.01)
    feed.put_nowait(None)
    await reader.get(WATCH)
    assert 80_000 < (source.calls[-1].remaining_s or 0) < 90_000


@pytest.mark.parametrize(
    ("accept", "end"),
    [(EVENTS, b"\n\n"), (LINES, b"}\n"), (ARRAY, b"}]")],
)
async def test_streams_end_when_the_edge_stops(
    feeds: Contract, source: Backend, feed: "asyncio.Queue[bytes | None]", accept: str, end: bytes
) -> None:
    """Streams end at once with an error that asks to reconnect, not only at the end of the grace period."""
    async with edge_of(feeds, source.port) as client:
        connection = Wire(*await asyncio.open_connection(client.base_url.host, client.base_url.port))
        await connection.begin("GET", WATCH, accept=accept)
        feed.put_nowait(b"")
        await connection.head()
        await connection.chunk()
    rest = await connection.rest()
    assert b'"UNAVAILABLE"' in rest
    assert rest.endswith(end)
    connection.writer.close()


async def test_streams_and_requests_have_limits_of_their_own(
    feeds: Contract, source: Backend, feed: "asyncio.Queue[bytes | None]"
) -> None:
    """A maximum of streams leaves room for other requests."""
    limits: dict[str, Any] = {"concurrent_streams_max": 2, "concurrent_requests_max": 1}
    async with edge_of(feeds, source.port, **limits) as client, wire(client) as first, wire(client) as second:
        for connection in (first, second):
            await connection.begin("GET", WATCH, accept=EVENTS)
            await connection.head()
        refused = await client.get(WATCH)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert (await client.get("/v1/feeds/x")).status_code == 200


async def test_streams_need_the_same_access_as_other_methods(feeds: Contract, source: Backend, issuer: Issuer) -> None:
    """The token, the scope and the rate limit are checked before the stream starts."""
    source.stream = None
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    async with edge_of(feeds, source.port, verifier=verifier) as client:
        url = "/v1/feeds/x:private"
        assert (await client.get(url)).status_code == 401
        other = {"authorization": f"Bearer {issuer.token('users/ada', 'other')}"}
        assert (await client.get(url, headers=other)).status_code == 403
        token = {"authorization": f"Bearer {issuer.token('users/ada', 'feeds.read')}"}
        answers = [await client.get(url, headers=token) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert "ratelimit" in answers[0].headers
    assert source.calls[-1].metadata["authorization"] == token["authorization"]


async def test_a_stream_ends_with_its_token(
    feeds: Contract, source: Backend, issuer: Issuer, feed: "asyncio.Queue[bytes | None]"
) -> None:
    """When the token expires, an open stream ends with the error of calls with it, and so does the service's call."""
    feed.put_nowait(source.message("feeds.v1.Event", '{"number": 1}').to_binary())
    async with asyncio.timeout(30), edge_of(feeds, source.port, verifier=Verifier(issuer, ISSUER, AUDIENCE)) as client:
        assert (await client.get("/readyz")).status_code == 200  # it is connected to the service
        token = issuer.token("users/ada", "feeds.read", exp=time.time() + 2)
        headers = {"authorization": f"Bearer {token}", "accept": EVENTS}
        response = await client.get("/v1/feeds/x:private", headers=headers)
        again = await client.get("/v1/feeds/x:private", headers=headers)
        while not source.ended:
            await asyncio.sleep(0.01)
    assert response.status_code == 200
    _, end = response.text.rstrip().rsplit("data: ", 1)
    assert json.loads(end) == again.json()
    assert (again.status_code, again.json()["error"]["details"][0]["reason"]) == (401, "TOKEN_EXPIRED")


async def test_an_endless_stream_leaks_no_memory(reader: Client, source: Backend) -> None:
    """Thousands of messages in one stream leave no memory behind."""
    count = 20_000

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        message = source.message("feeds.v1.Event", json.dumps({"text": "x" * 1000})).to_binary()
        for _number in range(count):
            yield message

    source.stream = stream
    process, lines, grown = psutil.Process(os.getpid()), 0, 0
    async with reader.stream("GET", WATCH, headers={"accept": LINES}) as response:
        async for _ in response.aiter_lines():
            lines += 1
            if lines == count // 2:
                grown = process.memory_info().rss
    assert lines == count
    assert process.memory_info().rss - grown < 10_000_000


@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/tracks/a/points"), ("PUT", "/v1/files/a")])
async def test_an_upload_ends_with_its_token(
    tmp_path: Path, source: Backend, issuer: Issuer, feed: "asyncio.Queue[bytes | None]", method: str, path: str
) -> None:
    """A client that still sends gets the error of calls with its token, and the service's call ends."""
    private = read(compile_image(FEEDS.replace("{public: true}", '{scopes: "feeds.read"}'), tmp_path))
    async with (
        asyncio.timeout(30),
        edge_of(private, source.port, verifier=Verifier(issuer, ISSUER, AUDIENCE)) as client,
    ):
        assert (await client.get("/readyz")).status_code == 200  # it is connected to the service
        async with wire(client) as connection:
            token = f"Bearer {issuer.token('users/ada', 'feeds.read', exp=time.time() + 2)}"
            await connection.begin(method, path, authorization=token, content_type=LINES)
            await connection.send(b'{"number": 1}\n')
            while not source.calls:  # the token was valid at the admission, which rejects with the same error
                await asyncio.sleep(0.01)
            status, headers = await connection.head()
            error = json.loads(await connection.reader.readexactly(int(headers["content-length"])))["error"]
            assert (status, error["details"][0]["reason"]) == (401, "TOKEN_EXPIRED")
            while not source.ended:
                await asyncio.sleep(0.01)
        again = await client.request(method, path, headers={"authorization": token})
        assert (again.status_code, again.json()["error"]) == (status, error)
