"""Servers that attack their client: each harms its own calls only, within limits."""

import asyncio
import contextlib
import gc
import gzip
import struct
import time
from collections.abc import Callable

import pytest

from mesh.client import Http2Transport
from mesh.errors import Code
from mesh.http2 import frames
from mesh.http2.client.call import ClientCall
from mesh.http2.faults import ErrorCode
from mesh.rpc.call_error import CallError
from tests.garbage import alive
from tests.mesh.http2.scripted import (
    HEAD,
    PATH,
    Peer,
    block,
    call,
    data,
    head,
    prefixed,
    scripted,
    serve_well,
    trailers,
    transport_to,
    unary,
)

MANY = 20_000


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(lambda _: frames.frame(frames.PING, 0, 0, bytes(8)) * MANY, id="pings"),
        pytest.param(lambda _: frames.settings({3: 100}) * MANY, id="settings"),
        pytest.param(lambda _: frames.frame(frames.SETTINGS, 1, 0) * MANY, id="acks"),
        pytest.param(lambda stream: head(stream) + data(stream, b"") * MANY, id="empty data"),
        pytest.param(lambda stream: frames.rst_stream(stream, 8) * MANY, id="resets"),
        pytest.param(lambda stream: frames.window_update(stream, 1) * MANY, id="windows"),
        pytest.param(lambda _: frames.frame(frames.PRIORITY, 0, 7, bytes(5)) * MANY, id="priorities"),
        pytest.param(lambda _: frames.frame(0xBE, 0, 0) * MANY, id="unknown frames"),
        pytest.param(lambda stream: head(stream, [(":status", "103")]) * MANY, id="informational responses"),
        pytest.param(lambda stream: head(stream, [(":status", "103"), ("x-a", "v" * 16_000)]) * 500, id="large blocks"),
        pytest.param(
            lambda stream: head(stream, flags=0) + frames.frame(frames.CONTINUATION, 0, stream) * MANY,
            id="empty continuations",
        ),
        pytest.param(
            lambda stream: head(stream, flags=0) + frames.frame(frames.CONTINUATION, 0, stream, bytes(16_000)) * 100,
            id="large continuations",
        ),
    ],
)
async def test_a_flood_ends_the_connection(flood: Callable[[int], bytes]) -> None:
    """Empty frames are limited: the server gets ENHANCE_YOUR_CALM, and the next connection is served."""
    received: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        peer.send(flood(await peer.request()))
        received.append(await peer.error_code())
        await peer.wait_closed()

    async with scripted(serve, serve_well) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
        assert caught.value.code in (Code.UNAVAILABLE, Code.CANCELLED)
        await asyncio.sleep(0)
        while not received:
            await asyncio.sleep(0.01)
        assert (await call(transport)).message == b"answer"
    assert received == [ErrorCode.ENHANCE_YOUR_CALM]


async def test_honest_frames_are_no_flood() -> None:
    """A server may ping and widen windows for each call, for as long as there are calls."""
    calls = 3_000

    async def serve(peer: Peer) -> None:
        await peer.start()
        for _ in range(calls):
            stream = await peer.request()
            peer.send(frames.frame(frames.PING, 0, 0, bytes(8)), frames.window_update(0, 100))
            peer.send(frames.window_update(stream, 100))
            peer.answer(stream)
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address) as transport:
        for _ in range(calls):
            await call(transport)


async def test_a_slow_reader_is_not_hostile() -> None:
    """A server that reads a large request slowly, and sends pings, is not taken for one that reads nothing."""
    message = bytes(15_000_000)

    async def serve(peer: Peer) -> None:
        await peer.start({4: 2**31 - 1})
        peer.send(frames.window_update(0, 2**30))
        _, _, stream, _ = await peer.next(frames.HEADERS)
        for _ in range(5):
            await asyncio.sleep(0.02)
            peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
        received = 0
        while received < len(message):
            received += len((await peer.next(frames.DATA))[3])
        peer.answer(stream)
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address) as transport:
        assert (await call(transport, message)).message == b"answer"


async def test_a_header_bomb_is_not_unpacked() -> None:
    """A small block that decodes to many fields ends its call, and the connection stays open."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(frames.frame(frames.HEADERS, 4, stream, block(HEAD) + b"\x90" * 16_000))
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
        assert caught.value.code is Code.INTERNAL
        assert (await call(transport)).message == b"answer"


async def test_a_message_that_is_announced_too_large() -> None:
    """A length beyond the limit ends the call before a byte of the message arrives."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(head(stream), data(stream, b"\0\x7f\xff\xff\xff"))
        assert await peer.reset_code() == (stream, ErrorCode.CANCEL)
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
        assert (caught.value.code, caught.value.is_sent) == (Code.RESOURCE_EXHAUSTED, False)
        assert (await call(transport)).message == b"answer"


async def test_a_server_that_goes_away_in_the_middle() -> None:
    """A response that breaks off is an error, and no shorter message."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(head(stream), data(stream, prefixed(b"answer")[:-2]))

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
    assert caught.value.code is Code.UNAVAILABLE


async def test_a_server_that_stalls() -> None:
    """Calls end at their deadline if a server accepts a connection and sends nothing, or stops within a frame."""

    async def silent(peer: Peer) -> None:
        await peer.wait_closed()

    async def halting(peer: Peer) -> None:
        await peer.start()
        await peer.request()
        peer.send(b"\0\0")
        await peer.wait_closed()

    async with scripted(silent) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await unary(transport, b"", timeout_s=0.05)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
    async with scripted(halting) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport, timeout_s=0.1)
        assert caught.value.code is Code.DEADLINE_EXCEEDED


async def test_a_server_that_asks_and_does_not_read() -> None:
    """Acknowledgements for a server that reads none are not kept without a limit."""
    ended = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.start({4: 2**31 - 1})
        await peer.next(frames.HEADERS)
        try:
            while True:
                peer.send(frames.frame(frames.PING, 0, 0, bytes(8)) * 10_000)
                await peer.drain()
        finally:
            ended.set()

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport, bytes(10_000_000))
        await ended.wait()
    assert caught.value.code is Code.UNAVAILABLE


@pytest.mark.parametrize("more", [prefixed(b"second"), prefixed(b"second")[:-1]])
async def test_a_unary_call_takes_one_message(more: bytes) -> None:
    """A second message ends a unary call when it begins to arrive: a body without an end is not kept."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(head(stream), data(stream, prefixed(b"first")), data(stream, more))
        assert await peer.reset_code() == (stream, ErrorCode.CANCEL)
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
        assert (caught.value.code, caught.value.is_sent) == (Code.INTERNAL, False)
        assert (await call(transport)).message == b"answer"


@pytest.mark.parametrize("ends", [True, False])
async def test_a_damaged_message_ends_its_stream(ends: bool) -> None:
    """Messages before one that can't be decompressed are read; it is an error though the server ends the call well."""
    damaged = struct.pack(">BL", 1, 4) + b"junk"

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        packed = gzip.compress(b"good")
        peer.send(head(stream, [*HEAD, ("grpc-encoding", "gzip")]))
        peer.send(data(stream, struct.pack(">BL", 1, len(packed)) + packed + damaged + prefixed(b"later")))
        if ends:
            peer.send(trailers(stream))
        else:
            assert await peer.reset_code() == (stream, ErrorCode.CANCEL)
        await peer.wait_closed()

    async with (
        scripted(serve) as address,
        transport_to(address) as transport,
        transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
    ):
        await stream.finish_sending()
        assert await stream.receive() == b"good"
        for _ in range(2):
            with pytest.raises(CallError) as caught:
                await stream.receive()
            assert caught.value.code is Code.INTERNAL
        assert await stream.code() is Code.INTERNAL


async def test_a_deadline_ends_a_body_without_an_end() -> None:
    """Messages that have arrived, but were not read before the deadline, don't keep the call from ending."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(head(stream), data(stream, prefixed(b"")) * 1_000)
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address) as transport:
        deadline = time.monotonic() + 0.2
        async with transport.stream(PATH, connect_by=deadline, deadline=deadline, metadata=()) as stream:
            await stream.finish_sending()
            assert await stream.receive() == b""
            assert await stream.code() is Code.DEADLINE_EXCEEDED
            with pytest.raises(CallError) as caught:
                await stream.receive()
            assert caught.value.code is Code.DEADLINE_EXCEEDED


async def test_a_window_that_never_opens() -> None:
    """Calls that wait for the window of a connection are forgotten when their deadline has passed, also behind one that
    has none.
    """

    async def serve(peer: Peer) -> None:
        await peer.start({4: 2**31 - 1})
        await peer.wait_closed()

    async with (
        scripted(serve) as address,
        transport_to(address) as transport,
        transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
    ):
        sending = asyncio.create_task(stream.send(bytes(100_000)))
        await asyncio.sleep(0)
        for _ in range(30):
            with pytest.raises(CallError) as caught:
                await call(transport, timeout_s=0.01)
            assert caught.value.code is Code.DEADLINE_EXCEEDED
        caught.value.__traceback__ = None
        gc.collect()
        assert alive(ClientCall) < 10
        stream.cancel()
        await sending


async def test_a_server_that_reads_nothing() -> None:
    """The requests of calls that time out are not kept without a limit for a server that never reads."""
    stalled = asyncio.Event()

    async def refused(transport: Http2Transport) -> bool:
        with pytest.raises(CallError) as caught:
            await unary(transport, b"", timeout_s=0.02, metadata=[("x-a", "v" * 16_000)])
        return caught.value.code is Code.UNAVAILABLE

    async def stall(peer: Peer) -> None:
        await peer.start()
        await stalled.wait()

    async with scripted(stall) as address, transport_to(address) as transport:
        await transport.check()
        with contextlib.ExitStack() as stack:
            stack.callback(stalled.set)
            for _ in range(50):
                if any(await asyncio.gather(*(refused(transport) for _ in range(100)))):
                    break
            else:
                pytest.fail("80 MB were kept")


async def test_late_data_are_no_flood() -> None:
    """A server that streams small messages may have sent many before it knows that the call was cancelled."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(head(stream), data(stream, prefixed(b"first")))
        await peer.reset_code()
        peer.send(data(stream, prefixed(b"0123456789abcdef")) * 3_000)
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        async with transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream:
            await stream.finish_sending()
            assert await stream.receive() == b"first"
        assert (await call(transport)).message == b"answer"


@pytest.mark.parametrize("used", [b"", data(1, prefixed(b"")) * 14_000], ids=["within", "beyond"])
async def test_late_data_have_a_limit(used: bytes) -> None:
    """A server that keeps sending data of a reset call has its connection closed, within its window or beyond it."""
    received: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        peer.send(head(await peer.request()), used)
        await peer.reset_code()
        peer.send(data(1, b"x") * MANY)
        received.append(await peer.error_code())

    async with scripted(serve, serve_well) as address, transport_to(address) as transport:
        deadline = time.monotonic() + 0.2
        async with transport.stream(PATH, connect_by=deadline, deadline=deadline, metadata=()) as stream:
            await stream.finish_sending()
            await stream.code()
        while not received:
            await asyncio.sleep(0.01)
        assert (await call(transport)).message == b"answer"
    assert received == [ErrorCode.ENHANCE_YOUR_CALM]
