"""The ends of calls: their handlers end with them, and nothing of them stays."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable

import pytest

from mesh.errors import Code
from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.frames import FrameReader
from mesh.http2.header_block import HeaderBlock
from mesh.http2.server.call import Route, ServerCall
from tests.garbage import alive, living, settled
from tests.mesh.http2.scripted import PATH, call, data, prefixed, transport_to
from tests.mesh.http2.server.scripted import (
    ENDS,
    GRACE_S,
    MESSAGE_BYTES_MAX,
    Client,
    Handlers,
    fields,
    head,
    request,
    serving,
)


async def cancelled(handlers: Handlers, count: int) -> None:
    """Waits until as many handlers have been cancelled."""
    async with asyncio.timeout(20):
        while handlers.cancelled < count:
            await asyncio.sleep(0.01)


async def reset(client: Client) -> None:
    """Resets the calls."""
    client.send(frames.rst_stream(1, ErrorCode.CANCEL), frames.rst_stream(3, ErrorCode.CANCEL))


async def leave(client: Client) -> None:
    """Loses the connection."""
    client.reset()


async def leave_politely(client: Client) -> None:
    """Ends the connection with GOAWAY."""
    client.send(frames.goaway(0, ErrorCode.NO_ERROR))
    await client.close()


async def break_rules(client: Client) -> None:
    """Ends the connection by a fault."""
    client.send(frames.frame(frames.PING, 0, 1, bytes(8)))


@pytest.mark.parametrize("end", [reset, leave, leave_politely, break_rules])
async def test_the_handlers_of_a_client_that_gives_up_are_cancelled(end: Callable[[Client], Awaitable[None]]) -> None:
    """Those of unary calls and of streams, and the calls are freed without the garbage collector."""
    async with serving() as served:
        gc.collect()
        gc.disable()
        try:
            async with served.client() as client:
                client.send(request(1, "Wait"), head(3, fields("Hang")))
                await client.settle()
                assert served.handlers.begun == 2
                await end(client)
                await cancelled(served.handlers, 2)
            assert await settled(0, ServerCall) == 0
        finally:
            gc.enable()
        await served.check()


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

    routes = {PATH: Route(serve, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX)}
    async with asyncio.timeout(30), serving(routes) as served, served.client() as client:
        await client.next(frames.SETTINGS)
        before = alive(ServerCall)
        for stream in range(1, 11, 2):
            client.send(request(stream))
            if starts:
                await started.wait()
                started.clear()
            client.send(frames.rst_stream(stream, ErrorCode.CANCEL))
        await client.settle()
        assert await settled(before, ServerCall) <= before
        assert started.is_set() is False


async def test_a_client_that_vanishes_ends_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers no pings, so its handlers are cancelled; one that answers may wait for as long as it likes."""
    monkeypatch.setattr("mesh.http2.server.connection.KEEPALIVE_S", 0.01)
    monkeypatch.setattr("mesh.http2.keepalive.ANSWER_S_MAX", 1.0)
    gone, leave = asyncio.Event(), asyncio.Event()

    async def serve(call: ServerCall) -> None:
        try:
            await leave.wait()
        except asyncio.CancelledError:
            gone.set()
            raise
        call.finish(b"answer")

    routes = {PATH: Route(serve, takes_stream=False, message_bytes_max=MESSAGE_BYTES_MAX)}
    async with asyncio.timeout(30), serving(routes) as served:
        async with served.client() as silent:
            silent.send(request(1))
            await gone.wait()
        gone.clear()
        async with transport_to(f"127.0.0.1:{served.port}") as transport:
            calling = asyncio.create_task(call(transport))
            await asyncio.sleep(1.5)
            leave.set()
            assert (await calling).message == b"answer"
    assert not gone.is_set()


async def test_a_stop_ends_calls_with_a_status() -> None:
    """Calls that outlast the grace period get UNAVAILABLE, a request that is incomplete too."""
    async with serving() as served, served.client() as client:
        client.send(request(1, "Wait"), head(3, fields("Hang")), head(5), data(5, prefixed(b"question")[:7]))
        await client.settle()
        stopping = asyncio.create_task(served.server.stop(GRACE_S))
        assert [(await client.response(stream)).code for stream in (1, 3, 5)] == ["14"] * 3
        await client.wait_closed()
        await stopping
        assert served.handlers.cancelled == 2


async def test_a_stream_that_has_ended_is_not_reset() -> None:
    """A stream is closed once both sides have ended it (RFC 9113, section 5.1), also by a request that is wrong."""
    wrong = b"\2" + bytes(4)
    async with serving(calls_max=1) as served, served.client() as client:
        for stream, sent, code in (
            (1, head(1, flags=ENDS), "13"),
            (3, head(3) + data(3, prefixed(b"question")[:7], frames.END_STREAM), "13"),
            (5, head(5, fields("Echoes"), ENDS), "0"),
            (7, head(7) + data(7, wrong, frames.END_STREAM), "13"),
            (9, head(9, fields("Echoes")) + data(9, wrong) + data(9, b"", frames.END_STREAM), "13"),
            (13, head(11, fields("Hang")) + head(13, flags=ENDS), "8"),
        ):
            client.send(sent)
            assert (await client.response(stream)).code == code
            client.send(frames.frame(frames.PING, 0, 0, bytes(8)))
            assert (await client.next(frames.PING, frames.RST_STREAM))[0] == frames.PING


async def test_the_rest_of_a_request_is_of_no_use_after_the_response() -> None:
    """The stream is reset without an error once the response is complete: section 8.1."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields("Fail")), head(3, fields("None")), head(5, fields(content_type="text/plain")))
        for stream in (3, 5, 1):
            await client.response(stream)
            assert await client.reset_code() == (stream, ErrorCode.NO_ERROR)
        client.send(data(1, prefixed(b"late")), data(3, prefixed(b"late"), frames.END_STREAM), request(7))
        assert (await client.response(7)).code == "0"


@pytest.mark.parametrize("end", [leave, leave_politely])
async def test_what_has_arrived_of_a_frame_is_freed_with_its_connection(
    end: Callable[[Client], Awaitable[None]],
) -> None:
    """80 kB of a header block and a frame would wait for the garbage collector, which counts objects, not bytes."""
    async with serving() as served:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                async with served.client() as client:
                    client.send(head(1, flags=0), *[frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000))] * 4)
                    client.send(frames.frame(frames.CONTINUATION, 0, 1, bytes(16_000))[:15_000])
                    async with asyncio.timeout(20):
                        while not any(reader._rest for reader in living(FrameReader)):
                            await asyncio.sleep(0.01)
                    await end(client)
            assert await settled(0, HeaderBlock) == 0
            assert not any(reader._rest for reader in living(FrameReader))
        finally:
            gc.enable()


async def test_a_call_that_a_stop_has_answered_does_not_begin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client calls again elsewhere, and the effect would be twice."""
    begun = []

    async def serve(call: ServerCall) -> None:
        begun.append(call)

    async with serving({PATH: Route(serve, False, MESSAGE_BYTES_MAX)}) as served, served.client() as client:
        serve_task = served.server.serve

        def serve_and_stop(call: ServerCall) -> None:
            serve_task(call)  # whose task has its turn later
            call.connection.abort_calls(Code.UNAVAILABLE, "The server has stopped.")

        monkeypatch.setattr(served.server, "serve", serve_and_stop)
        client.send(request(1))
        assert (await client.response(1)).code == "14"
        await client.settle()
    assert begun == []


async def test_a_handler_that_swallows_its_cancellation_is_cancelled_again() -> None:
    """Libraries do that now and then. One that a client has cancelled is left to clean up."""
    ends = []

    async def serve(call: ServerCall) -> None:
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ends.append(call.id)

    async with serving({PATH: Route(serve, False, MESSAGE_BYTES_MAX)}) as served, served.client() as client:
        client.send(request(1))
        await client.settle()
        await served.server.stop(0)
        assert ends == [1, 1]


async def test_a_reader_in_a_task_of_its_own_ends_with_the_call() -> None:
    """Also if the handler has answered without it."""
    readers = []

    async def serve(call: ServerCall) -> None:
        async def read() -> list[bytes]:
            return [each async for each in call.requests()]

        readers.append(asyncio.create_task(read()))
        await asyncio.sleep(0)
        call.finish(b"answer")

    async with serving({PATH: Route(serve, True, MESSAGE_BYTES_MAX)}) as served, served.client() as client:
        client.send(head(1))
        assert (await client.response(1)).code == "0"
        async with asyncio.timeout(20):
            await asyncio.wait(readers)
    assert readers[0].cancelled()


async def test_a_handler_whose_client_does_not_read_cleans_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cancelled once: a second time would interrupt what it does at its end, such as a rollback."""
    monkeypatch.setattr("mesh.http2.server.load.HELD_BYTES_MAX", 100_000)
    ends = []

    async def serve(call: ServerCall) -> None:
        try:
            await call.write(bytes(200_000))
        finally:
            await asyncio.sleep(0.01)
            ends.append("cleaned up")

    async with serving({PATH: Route(serve, False, MESSAGE_BYTES_MAX)}) as served, served.client() as client:
        client.send(request(1))
        assert (await client.response(1)).reset_code == ErrorCode.ENHANCE_YOUR_CALM
        async with asyncio.timeout(20):
            while served.server._tasks:
                await asyncio.sleep(0.01)
    assert ends == ["cleaned up"]


async def test_a_deadline_ends_a_call_whose_handler_has_none() -> None:
    """Such as Watch of health. A client need not reset its call."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields("Hang", grpc_timeout="50S")), head(3, fields("Hang")))
        await client.settle()
        (connection,) = served.server._connections
        connection.expire_calls(time.monotonic() + 61)
        assert (await client.response(1)).reset_code == ErrorCode.CANCEL
        await cancelled(served.handlers, 1)
        assert len(connection.streams) == 1
