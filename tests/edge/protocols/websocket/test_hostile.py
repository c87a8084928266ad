"""WebSockets of clients that break the protocol or exhaust resources."""

import asyncio
import contextlib
import json
import logging
import os
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import ClientConnection

from edge.contract.contract import Contract
from edge.http.head_size import HEADERS_MAX
from edge.http.websocket_protocol import WebSocketProtocol
from mesh.identity import Caller, Verifier
from tests.edge.backend import Backend, Context
from tests.edge.protocols.rest.wire import Wire, wire
from tests.edge.protocols.websocket.test_websocket import CHAT, WATCH, opened
from tests.edge.served import TRANSPORT, Client, edge_of
from tests.garbage import living
from tests.issuer import AUDIENCE, ISSUER, Issuer

TEXT, BINARY, CONTINUATION, CLOSE, PING = 0x1, 0x2, 0x0, 0x8, 0x9
KEY = {"sec_websocket_version": "13", "sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ=="}
UPGRADE = {"upgrade": "websocket", "connection": "Upgrade"}


def frame(opcode: int, payload: bytes, *, last: bool = True, masked: bool = True, reserved: int = 0) -> bytes:
    """A frame (RFC 6455, section 5.2), masked with zeros."""
    first = (0x80 if last else 0) | reserved | opcode
    mask = 0x80 if masked else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, mask | len(payload))
    else:
        head = struct.pack("!BBQ", first, mask | 127, len(payload))
    return head + (b"\0\0\0\0" if masked else b"") + payload


async def open_by_hand(connection: Wire, path: str) -> None:
    """Performs the handshake."""
    await connection.begin("GET", path, **UPGRADE, **KEY)
    assert (await connection.head())[0] == 101


async def close_code(connection: Wire) -> int:
    """Returns the code in the close frame, after any other frames."""
    while True:
        first, length = await connection.reader.readexactly(2)
        if length > 125:
            length = int.from_bytes(await connection.reader.readexactly(2 if length == 126 else 8))
        payload = await connection.reader.readexactly(length)
        if first & 0x0F == CLOSE:
            return int.from_bytes(payload[:2])


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(TEXT, b"{}", masked=False), 1002),
        (frame(TEXT, b"{}", reserved=0x40), 1002),
        (frame(0x3, b""), 1002),
        (frame(CONTINUATION, b"{}"), 1002),
        (frame(TEXT, b"{}", last=False) + frame(TEXT, b"{}"), 1002),
        (frame(PING, b"x" * 200), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (b"\x81\xff" + b"\xff" * 8, 1009),
        (b"\x81\xff" + struct.pack("!Q", 1 << 40), 1009),
        (frame(TEXT, b"x" * 2_000_000), 1009),
        (frame(TEXT, b"x" * 600_000, last=False) + frame(CONTINUATION, b"x" * 600_000), 1009),
        (frame(TEXT, b"", last=False) + frame(CONTINUATION, b"", last=False) * 5000, 1008),
        (frame(TEXT, b'{"number": \xed\xa0\x80}'), 1007),
        (frame(TEXT, b"[" * 100_000), 4003),
        (frame(TEXT, b"\0"), 4003),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 1002),
    ],
)
async def test_garbage_closes_the_websocket(
    reader: Client, source: Backend, caplog: pytest.LogCaptureFixture, frames: bytes, code: int
) -> None:
    """The code is that of RFC 6455, section 7.4.1, the call is cancelled, and the log has no error."""
    async with wire(reader) as connection:
        await open_by_hand(connection, CHAT)
        connection.writer.write(frames)
        assert await close_code(connection) == code
    while len(source.ended) < len(source.calls):
        await asyncio.sleep(0.01)
    assert [each.message for each in caplog.records if each.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        (frame(TEXT, b"x" * 30_000_000), 1009),
        (frame(TEXT, b"\xff") + frame(BINARY, b"x" * 1_000_000) * 30, 1007),
        (frame(TEXT, b"", last=False) + frame(CONTINUATION, b"x", last=False) * 5_000_000, 1008),
    ],
)
async def test_a_client_that_is_still_sending_reads_why(
    reader: Client, source: Backend, frames: bytes, code: int
) -> None:
    """The rest is discarded, so that no reset overtakes the close frame."""
    async with wire(reader) as connection:
        await open_by_hand(connection, CHAT)
        connection.writer.write(frames)
        await connection.writer.drain()
        assert await close_code(connection) == code
        assert await connection.reader.read() == b""
    while len(source.ended) < len(source.calls):
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("frames", [frame(0x3, b""), frame(TEXT, b"\xff"), frame(TEXT, b"x" * 2_000_000)])
async def test_garbage_before_the_handshake_is_complete(
    feeds: Contract, source: Backend, issuer: Issuer, caplog: pytest.LogCaptureFixture, frames: bytes
) -> None:
    """The connection is aborted, because no close frame may precede the reply. The log has no error, and the metrics
    have the status of a client that has left.
    """
    begun, go = asyncio.Event(), asyncio.Event()

    class SlowVerifier(Verifier):
        async def verify(self, token: str) -> Caller:
            begun.set()
            await go.wait()
            return await super().verify(token)

    verifier, path = SlowVerifier(issuer, ISSUER, AUDIENCE), "/v1/feeds/x:private"
    token = issuer.token("users/ada", "feeds.read")
    async with edge_of(feeds, source.port, verifier=verifier) as client, wire(client) as connection:
        await connection.begin("GET", path, **UPGRADE, **KEY, authorization=f"Bearer {token}")
        await begun.wait()
        connection.writer.write(frames)
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(30):
                assert await connection.reader.read() == b""
        go.set()
        async with asyncio.timeout(30):
            while 'rpc="feeds.v1.Feeds.Private",status="499"' not in (metrics := (await client.get("/metrics")).text):
                await asyncio.sleep(0.01)
    assert 'status="0"' not in metrics
    assert [each.message for each in caplog.records if each.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("cut", [0, 1, 10, None])
async def test_frames_behind_the_handshake(feeds: Contract, source: Backend, cut: int | None) -> None:
    """Frames that a client sends before the reply, in whole or in part with its handshake, are not lost."""
    headers = {"host": "x", **UPGRADE, **KEY}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    sent = frame(TEXT, b'{"number":1}') + frame(TEXT, b'{"number":2}')
    async with edge_of(feeds, source.port) as client, wire(client) as connection, asyncio.timeout(30):
        connection.writer.write(f"GET {CHAT} HTTP/1.1\r\n{head}\r\n".encode() + sent[:cut])
        assert (await connection.head())[0] == 101
        connection.writer.write(sent[len(sent[:cut]) :])
        for expected in (b'{"text":"tracks/a","number":1}', b'{"number":2}'):
            assert await connection.reader.readexactly(2 + len(expected)) == bytes([0x81, len(expected)]) + expected


async def test_a_message_in_fragments(reader: Client, source: Backend) -> None:
    """A message is complete even with a ping between its fragments."""
    async with wire(reader) as connection:
        await open_by_hand(connection, CHAT)
        connection.writer.write(frame(TEXT, b'{"num', last=False) + frame(PING, b"p") + frame(CONTINUATION, b'ber":1}'))
        assert await connection.reader.readexactly(3) == b"\x8a\x01p"
        expected = b'{"text":"tracks/a","number":1}'
        assert await connection.reader.readexactly(2 + len(expected)) == bytes([0x81, len(expected)]) + expected


async def test_clients_behind_a_proxy_hold_shares_of_their_own(feeds: Contract, source: Backend) -> None:
    """A client that holds half of two messages has used its share; its third has no room, but those of others have."""
    limits: dict[str, Any] = {"held_bytes_max": 1_600_000, "body_bytes_max": 200_000}
    async with edge_of(feeds, source.port, trusted_proxies="127.0.0.1", **limits) as client, AsyncExitStack() as stack:

        async def opened_by(address: str) -> Wire:
            connection = await stack.enter_async_context(wire(client))
            await connection.begin("GET", CHAT, **UPGRADE, **KEY, x_forwarded_for=address)
            assert (await connection.head())[0] == 101
            return connection

        for _ in range(2):
            (await opened_by("192.0.2.1")).writer.write(frame(TEXT, b"x" * 199_999, last=False))
        await asyncio.sleep(0.2)
        third, other = await opened_by("192.0.2.1"), await opened_by("192.0.2.2")
        for each in (third, other):
            each.writer.write(frame(TEXT, b'{"number":1}'))
        assert await close_code(third) == 1013
        assert await other.reader.readexactly(1) == b"\x81"


@pytest.mark.parametrize(
    "headers",
    [
        {**UPGRADE},
        {**UPGRADE, **KEY, "content_length": "5"},
        {"upgrade": "h2c", "connection": "Upgrade"},
    ],
)
async def test_an_incomplete_handshake_is_a_request(reader: Client, source: Backend, headers: dict[str, str]) -> None:
    """The request is answered as if it did not ask for a WebSocket."""
    async with wire(reader) as connection:
        await connection.begin("GET", WATCH, **headers)
        if "content_length" in headers:
            connection.writer.write(b"hello")
        assert (await connection.head())[0] in (200, 400)


@pytest.mark.parametrize(
    ("changed", "status", "reason"),
    [
        ({"sec_websocket_version": "8"}, 426, "WEBSOCKET_VERSION_NOT_SUPPORTED"),
        ({"sec_websocket_version": "13, 13"}, 426, "WEBSOCKET_VERSION_NOT_SUPPORTED"),
        ({"sec_websocket_version": ""}, 426, "WEBSOCKET_VERSION_NOT_SUPPORTED"),
        ({"sec_websocket_key": "short"}, 400, "MALFORMED_HEADER"),
        ({"sec_websocket_key": ""}, 400, "MALFORMED_HEADER"),
        ({"sec_websocket_key": f"{KEY['sec_websocket_key']}, {KEY['sec_websocket_key']}"}, 400, "MALFORMED_HEADER"),
        ({"sec_websocket_protocol": "proto json"}, 400, "MALFORMED_HEADER"),
        ({"sec_websocket_protocol": "protojson, bearer.a=b/c"}, 400, "MALFORMED_HEADER"),
        ({"sec_websocket_protocol": '"protojson"'}, 400, "MALFORMED_HEADER"),
        ({"sec_websocket_protocol": "\xe9"}, 400, "MALFORMED_HEADER"),
    ],
)
async def test_a_rejected_handshake_has_an_error_and_the_supported_version(
    reader: Client,
    source: Backend,
    changed: dict[str, str],
    status: int,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """RFC 6455, section 4.4, and RFC 9110, section 15.5.22, apply; a URL without a stream is always 404. None is an
    error of the edge in its log.
    """
    async with wire(reader) as connection:
        await connection.begin("GET", CHAT, **{**UPGRADE, **KEY, **changed}, x_request_id="rejected")
        answered, headers = await connection.head()
        error = json.loads(await connection.reader.read())["error"]
    assert (answered, error["code"], error["details"][0]["reason"]) == (status, status, reason)
    assert {name.lower(): value for name, value in headers.items()}["sec-websocket-version"] == "13"
    assert (status == 426) is ("upgrade" in headers)
    assert "rejected" not in {call.metadata["x-request-id"] for call in source.calls}
    async with wire(reader) as connection:
        await connection.begin("GET", "/v1/nothing", **{**UPGRADE, **KEY, **changed})
        assert (await connection.head())[0] == 404
        await connection.reader.read()
    assert [each.message for each in caplog.records if each.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    "changed",
    [
        {"sec_websocket_protocol": ", protojson,,"},
        {"sec_websocket_protocol": ""},
        {"sec_websocket_extensions": "@@@; ="},
        {"upgrade": "h2c, WebSocket"},
        {"connection": "keep-alive, @, Upgrade"},
        {"cookie": "x" * 20_000},
        {f"x_{number}": "a" for number in range(HEADERS_MAX - 6)},
    ],
)
async def test_an_unusual_handshake_opens(reader: Client, source: Backend, changed: dict[str, str]) -> None:
    """A handshake within the limits of the edge is accepted, even if the library's own limits are lower."""
    async with wire(reader) as connection:
        await connection.begin("GET", CHAT, **{**UPGRADE, **KEY, **changed})
        assert (await connection.head())[0] == 101
        connection.writer.write(frame(TEXT, b'{"number": 1}'))
        assert (await connection.reader.readexactly(2))[0] == 0x81


async def test_pongs_that_nobody_reads(feeds: Contract, source: Backend) -> None:
    """Pongs are not queued for a client that isn't reading; the connection is aborted."""
    process = psutil.Process(os.getpid())
    async with edge_of(feeds, source.port, stall_s=1) as client, wire(client) as connection:
        await open_by_hand(connection, CHAT)
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined] # it can be read from
        before = process.memory_info().rss
        with pytest.raises(ConnectionError):
            await flood(connection, frame(PING, b"x" * 100) * 5000)
        assert process.memory_info().rss - before < 50_000_000


async def test_short_messages_wait_as_bytes(reader: Client, source: Backend) -> None:
    """Thousands of messages that the service does not take are not in memory one by one, and arrive when it does."""
    go = asyncio.Event()

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        await anext(requests)
        is_first = len(source.calls) == 1
        yield b""
        await (go if is_first else asyncio.Event()).wait()
        count = 1
        async for _request in requests:
            count += 1
        yield source.message("feeds.v1.Event", json.dumps({"number": count})).to_binary()

    source.stream = stream
    process, count, connections = psutil.Process(os.getpid()), 15_000, 4
    frames = frame(TEXT, b'{"number":1}') + frame(TEXT, b"{}") * count
    async with AsyncExitStack() as stack:
        opened_by_hand = [await stack.enter_async_context(wire(reader)) for _ in range(connections)]
        before = process.memory_info().rss
        for connection in opened_by_hand:
            await open_by_hand(connection, CHAT)
            connection.writer.write(frames)
            await connection.reader.readexactly(4)
        await asyncio.sleep(1)
        assert process.memory_info().rss - before < 600_000 * connections
        go.set()
        opened_by_hand[0].writer.write(frame(TEXT, b""))
        await opened_by_hand[0].reader.readuntil(b'{"number":%d}' % (count + 1))


async def test_a_close_frame_behind_many_messages_is_read(reader: Client, source: Backend) -> None:
    """The service ends the stream while thousands of messages wait; they are discarded up to the client's close."""
    go = asyncio.Event()

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        await anext(requests)
        yield b""
        await go.wait()

    source.stream = stream
    async with wire(reader) as connection:
        await open_by_hand(connection, CHAT)
        connection.writer.write(frame(TEXT, b'{"number":1}') + frame(TEXT, b"{}") * 20_000)
        await connection.reader.readexactly(4)
        address = connection.writer.get_extra_info("sockname")
        (served,) = [each for each in living(WebSocketProtocol) if each.client == address]
        served.close_timeout = 300
        go.set()
        assert await close_code(connection) == 1000
        connection.writer.write(frame(CLOSE, struct.pack("!H", 1000)))
        async with asyncio.timeout(30):
            assert await connection.reader.read() == b""


async def test_discarded_messages_are_not_held_bytes(feeds: Contract, source: Backend) -> None:
    """Messages that arrive after our close frame leave their client's share to its other connections."""

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        await anext(requests)
        yield b""

    source.stream = stream
    limits: dict[str, Any] = {"held_bytes_max": 1_600_000, "body_bytes_max": 200_000}
    async with edge_of(feeds, source.port, **limits) as client, AsyncExitStack() as stack:
        for _ in range(3):
            connection = await stack.enter_async_context(wire(client))
            await open_by_hand(connection, CHAT)
            connection.writer.write(frame(TEXT, b'{"number":1}'))
            assert await close_code(connection) == 1000
            connection.writer.write(frame(TEXT, b"x" * 199_999) + frame(PING, b"p"))
            assert await connection.reader.readexactly(3) == b"\x8a\x01p"


async def test_incomplete_frames_are_held_bytes(feeds: Contract, source: Backend) -> None:
    """A client can't exceed its share of the memory by frames without their last byte, and others are served."""
    limits: dict[str, Any] = {"held_bytes_max": 1_600_000, "body_bytes_max": 200_000, "trusted_proxies": "127.0.0.1"}
    async with edge_of(feeds, source.port, **limits) as client, AsyncExitStack() as stack:
        hogs = []
        for _ in range(4):
            hog = await stack.enter_async_context(wire(client))
            await hog.begin("GET", CHAT, **UPGRADE, **KEY, x_forwarded_for="192.0.2.1")
            assert (await hog.head())[0] == 101
            hog.writer.write(frame(TEXT, b"x" * 199_999)[:-1])
            hogs.append(hog)
        ended = [asyncio.create_task(close_code(hog)) for hog in hogs]
        done, held = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {1013}
        async with wire(client) as other:
            await open_by_hand(other, CHAT)
            other.writer.write(frame(TEXT, b'{"number":1}'))
            assert await other.reader.readexactly(1) == b"\x81"
        for task in held:
            task.cancel()


async def test_others_have_their_turn_during_a_flood_of_pings(reader: Client, source: Backend) -> None:
    """Pings that arrive together are not answered in one turn of the event loop."""
    count = 30_000
    async with wire(reader) as connection:
        await open_by_hand(connection, CHAT)
        connection.writer.write(frame(PING, b"") * count)
        pongs = asyncio.create_task(connection.reader.readexactly(2 * count))
        turns = 0
        while not pongs.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > count // 100


async def flood(connection: Wire, frames: bytes) -> None:
    """Sends frames until the connection ends."""
    while True:
        connection.writer.write(frames)
        await connection.writer.drain()


async def test_a_client_that_does_not_read_slows_the_service(feeds: Contract, source: Backend) -> None:
    """A slow client slows the service, and one that never reads is disconnected."""
    given: list[int] = []

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        message = source.message("feeds.v1.Event", json.dumps({"text": "x" * 100_000})).to_binary()
        while True:
            given.append(len(given))
            yield message

    source.stream = stream
    async with edge_of(feeds, source.port, stall_s=2) as client, wire(client) as connection:
        await open_by_hand(connection, WATCH)
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined] # it can be read from
        before = -1
        while len(given) != before or not given:
            before = len(given)
            await asyncio.sleep(0.4)
        assert before < (500 if TRANSPORT == "grpc" else 300), "gRPC's library lets its windows grow further"
        while not source.ended:
            await asyncio.sleep(0.05)


async def test_a_service_that_does_not_read_slows_the_client(feeds: Contract, source: Backend) -> None:
    """The client's pongs are still noticed while its messages wait."""
    go = asyncio.Event()

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        await go.wait()
        async for _request in requests:
            pass
        yield b""

    source.stream = stream
    message = json.dumps({"place": {"label": "x" * 100_000}})
    options: dict[str, Any] = {"stall_s": 0.3, "stream_heartbeat_s": 0.1, "stream_idle_s": 5}
    async with (
        edge_of(feeds, source.port, **options) as client,
        opened(client, "/v1/points", ping_interval=None) as socket,
    ):
        sent: list[str] = []
        sending = asyncio.create_task(send_all(socket, [message] * 1000, sent))
        before = -1
        while len(sent) != before or not sent:
            before = len(sent)
            await asyncio.sleep(0.7)
        assert before < 300
        go.set()
        await sending
        await socket.send("")
        assert await socket.recv() == "{}"


async def send_all(socket: ClientConnection, messages: list[str], sent: list[str]) -> None:
    """Sends messages, and records those that were sent."""
    for message in messages:
        await socket.send(message)
        sent.append(message)


async def test_a_dead_client_is_found(feeds: Contract, source: Backend) -> None:
    """A client that does not answer pings is disconnected."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        yield b""
        await asyncio.Event().wait()

    source.stream = stream
    async with edge_of(feeds, source.port, stall_s=0.2, stream_heartbeat_s=0.1) as client, wire(client) as connection:
        await open_by_hand(connection, WATCH)
        assert await close_code(connection) == 1011
        while not source.ended:
            await asyncio.sleep(0.01)
