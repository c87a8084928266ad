"""Clients that attack their server: each harms its own calls only, within limits."""

import asyncio
import contextlib
import gc
import struct
import time
import tracemalloc

import pytest

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.connection import UNSENT_BYTES_MAX
from mesh.http2.server.load import HELD_BYTES_MAX, MESSAGE_BYTES
from mesh.http2.windows import WINDOW_BYTES
from tests.mesh.http2.scripted import PATH, block, data, prefixed
from tests.mesh.http2.server.scripted import ENDS, MESSAGE_BYTES_MAX, Client, Fields, fields, head, request, serving

MANY = 20_000
STREAMS = range(1, 2 * MANY, 2)
PING = frames.frame(frames.PING, 0, 0, bytes(8))


async def flood(client: Client, sent: bytes) -> int:
    """Sends much, while the server may stop to read. Returns the error code of its GOAWAY."""

    async def send() -> None:
        for start in range(0, len(sent), 65_536):
            client.send(sent[start : start + 65_536])
            await client.drain()

    sending = asyncio.create_task(send())
    try:
        return await client.error_code()
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(PING * MANY, id="pings"),
        pytest.param(frames.frame(frames.PING, frames.ACK, 0, bytes(8)) * MANY, id="pongs"),
        pytest.param(frames.settings({3: 100}) * MANY, id="settings"),
        pytest.param(frames.frame(frames.SETTINGS, frames.ACK, 0) * MANY, id="acks"),
        pytest.param(head(1) + data(1, b"") * MANY, id="empty data"),
        pytest.param(head(1) + data(1, b"\x03\0\0\0", frames.PADDED) * MANY, id="padding"),
        pytest.param(frames.window_update(0, 1) * MANY, id="windows"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 7, bytes(5)) * MANY, id="priorities"),
        pytest.param(frames.frame(0xBE, 0, 0) * MANY, id="unknown frames"),
        pytest.param(frames.goaway(0, 0) * MANY, id="farewells"),
        pytest.param(head(1) + frames.rst_stream(1, 8) * MANY, id="resets of one stream"),
        pytest.param(
            b"".join(head(each, fields("Hang")) + frames.rst_stream(each, 8) for each in STREAMS), id="rapid resets"
        ),
        pytest.param(
            b"".join(head(each, fields("Hang")) + frames.window_update(each, 0) for each in STREAMS),
            id="requests that make us reset them",
        ),
        pytest.param(b"".join(head(each, fields(te="gzip")) for each in STREAMS), id="malformed requests"),
        pytest.param(b"".join(head(each, fields("Hang")) for each in STREAMS), id="streams beyond the limit"),
        pytest.param(
            request(1) + data(1, b"x") * MANY,
            id="data of a stream that has ended",
        ),
        pytest.param(
            head(1, flags=0) + frames.frame(frames.CONTINUATION, 0, 1) * MANY,
            id="empty continuations",
        ),
        pytest.param(
            head(1, flags=0) + frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000)) * 100,
            id="large continuations",
        ),
    ],
)
async def test_a_flood_ends_the_connection(sent: bytes) -> None:
    """Empty frames are limited: the client gets ENHANCE_YOUR_CALM, and another one is served meanwhile."""
    async with serving() as served, served.client() as client:
        flooding = asyncio.create_task(flood(client, sent))
        await served.check()
        assert await flooding == ErrorCode.ENHANCE_YOUR_CALM
        with contextlib.suppress(ConnectionError):  # it is reset if more was on its way
            await client.wait_closed()
        assert served.server.load._calls == served.held_bytes == 0


async def test_honest_frames_are_no_flood() -> None:
    """A client may ping, widen windows and cancel, as long as it has calls that are answered."""
    async with serving() as served, served.client() as client:
        for stream in range(1, 6_001, 4):
            client.send(PING, frames.window_update(0, 100), request(stream), frames.window_update(stream, 100))
            client.send(request(stream + 2, "Wait"), frames.rst_stream(stream + 2, ErrorCode.CANCEL))
            assert (await client.response(stream)).code == "0"


@pytest.mark.parametrize("sent", [fields("Missing"), fields(grpc_timeout="bad")], ids=["missing", "wrong"])
async def test_the_rest_of_a_request_that_was_answered_early_is_no_flood(sent: Fields) -> None:
    """A client that streams small messages has sent a window full of them when it learns that the call has ended."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields("Echoes")), data(1, prefixed(b"a")))
        client.send(head(3, sent), data(3, prefixed(b"small")) * 5_000)
        client.send(data(1, b"", frames.END_STREAM))
        assert (await client.response(1)).code == "0"


async def test_late_data_of_a_refused_stream_are_no_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that opens more streams than we announced, before it has our settings, loses only those."""
    monkeypatch.setattr("mesh.http2.server.connection.STREAMS_MAX", 2)
    async with serving() as served, served.client() as client:
        for stream in (1, 3):
            client.send(head(stream, fields("Echoes")), data(stream, prefixed(b"a")))
        client.send(head(5, fields("Echoes")), data(5, prefixed(b"small")) * 5_000)
        assert (await client.response(5)).reset_code == ErrorCode.REFUSED_STREAM
        client.send(data(1, b"", frames.END_STREAM))
        assert (await client.response(1)).code == "0"


async def test_a_timer_gives_requests_up_that_never_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing needs to arrive for it. A long deadline does not keep the place of a call."""
    monkeypatch.setattr("mesh.http2.server.call.WAIT_S", 0.01)
    monkeypatch.setattr("mesh.http2.server.server.CHECK_S", 0.01)
    async with asyncio.timeout(30), serving() as served, served.client() as client:
        client.send(head(1, fields("Wait", grpc_timeout="99999999H")))
        assert (await client.response(1)).code == "4"  # DEADLINE_EXCEEDED
        assert served.handlers.begun == 0


@pytest.mark.parametrize("timeout", [None, "99999999H", "50S"])
async def test_a_request_that_never_ends_is_given_up(timeout: str | None) -> None:
    """Its part that has arrived is held, so the client can't choose for how long: a minute at most."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields(grpc_timeout=timeout)), data(1, prefixed(bytes(100))[:50]))
        client.send(head(3, fields("Hang")), data(3, prefixed(b"question")[:7]))  # its handler sees to it
        await client.settle()
        held = served.held_bytes
        assert held > 57
        (connection,) = served.server._connections
        connection.expire_calls(time.monotonic() + 49)
        assert len(connection.streams) == 2
        connection.expire_calls(time.monotonic() + 61)
        assert (await client.response(1)).code == "4"
        assert served.server.load._calls == 1
        assert 7 < served.held_bytes <= held - 50
        client.send(data(1, b"more"), frames.rst_stream(1, ErrorCode.CANCEL), request(5))
        assert (await client.response(5)).code == "0"


@pytest.mark.parametrize(
    ("method", "message"),
    [("Large", struct.pack(">L", 4_000_000)), ("Repeat", struct.pack(">LL", 2, 4_000_000))],
    ids=["single", "stream"],
)
async def test_responses_that_nobody_reads_are_limited(method: str, message: bytes) -> None:
    """They are held bytes, those of streams too: beyond the limit, calls end. The others get room with their end."""
    async with serving() as served, served.client() as client:
        for stream in range(1, 41, 2):
            client.send(request(stream, method, message))
        resets = [await client.reset_code() for _ in range(20 - HELD_BYTES_MAX // 4_000_000)]
        assert {code for _, code in resets} == {ErrorCode.ENHANCE_YOUR_CALM}
        (connection,) = served.server._connections
        unsent = sum(len(piece) for call in connection.streams for piece in call._outgoing or ())
        assert 0 < unsent <= served.held_bytes <= HELD_BYTES_MAX
        first = next(iter(connection.streams)).id
        client.send(frames.window_update(first, 9_000_000), frames.window_update(0, 9_000_000))
        assert (await client.response(first)).code == "0"
        client.reset()
        async with asyncio.timeout(20):
            while served.server._connections:
                await asyncio.sleep(0.01)
        assert served.server.load._calls == served.held_bytes == 0
        await served.check()


async def test_requests_have_a_limit_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Responses that nobody reads do not take it. Each call leaves its room to the next ones."""
    monkeypatch.setattr("mesh.http2.server.load.HELD_BYTES_MAX", 700_000)

    async def serve(call: ServerCall) -> None:
        if call.request() == b"large":
            await call.write(bytes(600_000))
        call.finish()

    routes = {PATH: Route(serve, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX)}
    async with asyncio.timeout(30), serving(routes) as served, served.client() as client:
        client.send(request(1, message=b"large"))
        await client.next(frames.DATA)
        for first in (3, 103):
            streams = range(first, first + 80, 2)
            client.send(*(head(stream) + data(stream, prefixed(bytes(16_000))) for stream in streams))
            await client.settle()
            assert served.held_bytes > 600_000 + 40 * 16_000
            client.send(*(data(stream, b"", frames.END_STREAM) for stream in streams))
            assert [(await client.response(stream)).code for stream in streams] == ["0"] * 40
        before = 1
        for stream in (203, 205, 207):
            client.send(frames.rst_stream(before, ErrorCode.CANCEL), frames.window_update(0, WINDOW_BYTES))
            client.send(request(stream, message=b"large"))
            kind = of = 0
            while of != stream:
                kind, _, of, _ = await client.next(frames.DATA, frames.RST_STREAM)
            assert kind == frames.DATA
            before = stream


async def test_short_fields_count_as_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take more memory than they have bytes. It is given back with their call."""
    monkeypatch.setattr("mesh.http2.server.load.HELD_BYTES_MAX", 30_000)
    async with asyncio.timeout(30), serving() as served, served.client() as client:
        client.send(head(1, [*fields("Echoes"), *((f"a{number}", "") for number in range(300))]))
        assert (await client.response(1)).code == "8"
        for stream in range(3, 63, 2):
            client.send(head(stream, fields("Echoes")), data(stream, prefixed(b"tiny") * 150, frames.END_STREAM))
            assert (await client.response(stream)).code == "0"


async def test_a_client_that_never_reads_is_lost() -> None:
    """The bytes that wait for it are limited, and beyond the limit it is lost."""
    async with serving() as served, served.client() as client:
        client.pause_reading()
        first, sent = 1, block(fields("Fail"))
        async with asyncio.timeout(60):
            while served.server._connections:
                streams = range(first, first + 1_000, 2)
                client.send(*(frames.frame(frames.HEADERS, frames.END_HEADERS, stream, sent) for stream in streams))
                first += 1_000
                await asyncio.sleep(0)
                unsent = [each.outbox._transport.get_write_buffer_size() for each in served.server._connections]
                assert sum(unsent) < 2 * UNSENT_BYTES_MAX
        assert served.server.load._calls == 0
        await served.check()


async def test_memory_stays_flat() -> None:
    """Calls that end in each way, and connections, leave nothing."""

    async def attack(client: Client, first: int) -> int:
        for stream in range(first, first + 60, 12):
            client.send(request(stream), request(stream + 2, "Wait"), frames.rst_stream(stream + 2, ErrorCode.CANCEL))
            client.send(head(stream + 4), data(stream + 4, b"\0\x7f\0\0\0"), head(stream + 6, fields(te="x"), ENDS))
            client.send(head(stream + 8, [*fields(f"X{stream}"), (f"x-{stream}", "v" * 4_000)]))
            client.send(head(stream + 10, fields("Hang")), data(stream + 10, bytes(5) * 1_000 + b"\0"))
        await client.settle()
        return first + 60

    tracemalloc.start()
    try:
        async with serving() as served:
            sizes = []
            for _ in range(3):
                for _ in range(4):
                    async with served.client() as client:
                        stream = 1
                        for _ in range(2):
                            stream = await attack(client, stream)
                while served.server._connections:
                    await asyncio.sleep(0.01)
                gc.collect()
                sizes.append(tracemalloc.get_traced_memory()[0])
            assert served.server.load._calls == served.held_bytes == 0
    finally:
        tracemalloc.stop()
    assert sizes[-1] - sizes[0] < 200_000, sizes


async def test_empty_messages_count_as_what_they_take() -> None:
    """Five bytes of the window are an object that takes many times as much; held bytes are those until it is read."""
    async with serving() as served, served.client() as client:
        for stream in range(1, 21, 2):
            client.send(head(stream, fields("Hang")), data(stream, bytes(15_000)) * 4)
        await client.settle()
        assert served.held_bytes >= 10 * 12_000 * MESSAGE_BYTES
        client.send(head(21, fields("Echoes")), data(21, bytes(15_000)), data(21, bytes(1_000), frames.END_STREAM))
        assert (await client.response(21)).content == bytes(16_000)
        client.send(*(frames.rst_stream(stream, ErrorCode.CANCEL) for stream in range(1, 21, 2)))
        await client.settle()
        assert served.held_bytes == 0
        client.send(head(23, fields("Echoes")))
        await client.settle()
        head_bytes = served.held_bytes
        client.send(data(23, bytes(15_000)))
        for _ in range(3_000):
            await client.next(frames.DATA)
        assert served.held_bytes == head_bytes
