"""The limits of a server: what one client may take from the others, and from the memory of the process."""

import asyncio
import contextlib

import pytest

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.server.call import ServerCall
from mesh.http2.windows import WINDOW_BYTES
from tests.garbage import alive, settled
from tests.mesh.http2.scripted import data, prefixed
from tests.mesh.http2.server.dialing import opening, request, serving, status


async def test_messages_that_have_arrived_are_read_in_turns() -> None:
    """A stream of many small messages, which arrive together, does not make other calls wait until all are read."""
    others = asyncio.Event()
    read_before = 0

    async def serve(call: ServerCall) -> None:
        nonlocal read_before
        async for _ in call.requests():
            if not read_before:
                asyncio.get_running_loop().call_soon(others.set)
            read_before += not others.is_set()
        call.finish(b"answer")

    async with asyncio.timeout(30), serving(serve, takes_stream=True) as served, served.dialed() as peer:
        peer.send(opening(1), data(1, prefixed(b"tiny") * 1_800, frames.END_STREAM))
        await peer.next(frames.DATA)
    assert 0 < read_before < 100


@pytest.mark.parametrize("kind", ["fields", "messages"])
async def test_what_is_short_counts_as_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short fields and messages take more memory than they have bytes. It is given back with their call."""
    monkeypatch.setattr("mesh.http2.server.load.HELD_BYTES_MAX", 30_000)

    async def serve(call: ServerCall) -> None:
        if call.deadline is None:  # otherwise its requests are read at once
            await asyncio.sleep(0.1)
        async for _ in call.requests():
            pass
        call.finish()

    fields = [(f"a{number}", "") for number in range(300)] if kind == "fields" else []
    messages = [] if kind == "fields" else [data(1, prefixed(b"tiny") * 1_000)]
    async with asyncio.timeout(30), serving(serve, takes_stream=True) as served, served.dialed() as peer:
        peer.send(opening(1, fields), *messages)
        assert await status(peer, 1) == "8"  # RESOURCE_EXHAUSTED
        for stream in range(3, 63, 2):
            peer.send(
                opening(stream, [("grpc-timeout", "1M")]), data(stream, prefixed(b"tiny") * 150, frames.END_STREAM)
            )
            assert await status(peer, stream) == "0"


async def test_responses_that_are_not_read_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream beyond it is reset, and requests have a limit of their own."""
    monkeypatch.setattr("mesh.http2.server.load.HELD_BYTES_MAX", 700_000)

    async def serve(call: ServerCall) -> None:
        if call.request() == b"large":
            await call.write(bytes(600_000))
        call.finish()

    async with asyncio.timeout(30), serving(serve) as served, served.dialed() as peer:
        peer.send(request(1, b"large"), request(3, b"large"))
        assert await peer.reset_code() == (3, ErrorCode.ENHANCE_YOUR_CALM)
        peer.send(frames.rst_stream(1, ErrorCode.CANCEL))
        for stream in range(5, 105, 2):  # each has the room of the one before
            peer.send(request(stream, bytes(16_000)))
            assert await status(peer, stream) == "0"
        async with served.dialed() as other:
            for stream in (1, 3, 5):
                other.send(request(stream, b"large"))
                assert (await other.next(frames.DATA, frames.RST_STREAM))[0] == frames.DATA
                other.send(frames.rst_stream(stream, ErrorCode.CANCEL), frames.window_update(0, WINDOW_BYTES))


@pytest.mark.parametrize("timeout", ["", "0n", "99999999H"])
async def test_a_request_that_never_ends(timeout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not send the rest of a single request can't keep the place of a call by a long deadline."""
    monkeypatch.setattr("mesh.http2.server.call.WAIT_S", 0.01)
    monkeypatch.setattr("mesh.http2.server.server.CHECK_S", 0.01)

    async def serve(_call: ServerCall) -> None:
        raise AssertionError("reached")

    async with asyncio.timeout(10), serving(serve) as served, served.dialed() as peer:
        peer.send(opening(1, [("grpc-timeout", timeout)] if timeout else []))
        assert await status(peer, 1) == "4"  # DEADLINE_EXCEEDED


async def test_connections_of_long_streams_take_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that were renewed, and wait for their streams, do not count as those that accept calls."""
    monkeypatch.setattr("mesh.http2.server.server.CONNECTIONS_MAX", 2)
    monkeypatch.setattr("mesh.http2.server.connection.PONG_S_MAX", 0.01)

    async def serve(call: ServerCall) -> None:
        await call.write(b"first")
        if call.deadline is not None:
            await asyncio.Event().wait()
        call.finish()

    async with (
        asyncio.timeout(30),
        contextlib.AsyncExitStack() as stack,
        serving(serve, takes_stream=True, connection_age_s=0.05) as served,
    ):
        for _ in range(4):
            peer = await stack.enter_async_context(served.dialed())
            peer.send(opening(1, [("grpc-timeout", "1M")]))
            await peer.next(frames.DATA)
            await peer.next(frames.GOAWAY)
        async with served.dialed() as peer:
            peer.send(opening(1))
            assert await status(peer, 1) == "0"


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("starts", [False, True])
async def test_a_cancelled_call_is_freed(starts: bool) -> None:
    """Also if it is cancelled before its handler starts. The error of its task would keep the call, and what that
    holds, until the garbage collector runs.
    """
    started = asyncio.Event()

    async def serve(_call: ServerCall) -> None:
        started.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(30), serving(serve) as served, served.dialed() as peer:
        await peer.next(frames.SETTINGS)
        before = alive(ServerCall)
        for stream in range(1, 11, 2):
            peer.send(request(stream))
            if starts:
                await started.wait()
                started.clear()
            peer.send(frames.rst_stream(stream, ErrorCode.CANCEL))
        peer.send(frames.frame(frames.PING, 0, 0, b"received"))
        await peer.next(frames.PING)
        assert await settled(before, ServerCall) <= before
        assert started.is_set() is False
