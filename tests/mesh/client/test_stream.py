"""Streams of a channel: all kinds of methods, early ends in both directions, flow control, deadlines, the breaker."""

import asyncio
import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from mesh.client import Channel
from mesh.client.circuit_breaker import CircuitBreaker
from mesh.errors import Code, DeadlineExceeded, MeshError, NotFound, Unavailable
from tests.mesh.servers import plain_server

BIG = b"x" * 1_000_000


async def sent(*messages: bytes) -> AsyncIterator[bytes]:
    """Yields the given requests."""
    for message in messages:
        yield message


async def endless(taken: list[int], message: bytes) -> AsyncIterator[bytes]:
    """Yields requests without end, and counts those that were read."""
    while True:
        taken.append(len(taken))
        yield message


async def settled(counts: list[int]) -> int:
    """Returns the length of a list once it has stopped growing."""
    seen = -1
    while len(counts) != seen:
        seen = len(counts)
        await asyncio.sleep(0.3)
    return seen


async def read(
    channel: Channel,
    requests: AsyncIterator[bytes],
    into: Callable[[bytes], object],
    *,
    name: str = "Do",
    timeout_s: float | None = 0.5,
) -> None:
    """Makes a call and returns all responses."""
    async with channel.stream(f"/plain.Service/{name}", requests, timeout_s=timeout_s) as responses:
        async for response in responses:
            into(response)


def stream_stream(serve: Any) -> Any:
    """Returns the handler of a bidirectional method."""
    return grpc.stream_stream_rpc_method_handler(serve)


@contextlib.asynccontextmanager
async def channel_to(serve: Any) -> AsyncIterator[Channel]:
    """Opens a channel to a server with one method, "Do"."""
    async with plain_server(Do=stream_stream(serve)) as address, Channel("plain", address) as channel:
        yield channel


async def test_all_kinds_of_methods() -> None:
    """In gRPC, a single message is a stream of one, so all kinds of methods can be called as streams."""

    async def one_one(request: bytes, _: Any) -> bytes:
        return request + b"!"

    async def one_many(request: bytes, _: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield request + str(number).encode()

    async def many_one(requests: AsyncIterable[bytes], _: Any) -> bytes:
        return b"+".join([request async for request in requests])

    async def many_many(requests: AsyncIterable[bytes], _: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request.upper()

    handlers: dict[str, Any] = {
        "OneOne": grpc.unary_unary_rpc_method_handler(one_one),
        "OneMany": grpc.unary_stream_rpc_method_handler(one_many),
        "ManyOne": grpc.stream_unary_rpc_method_handler(many_one),
        "ManyMany": stream_stream(many_many),
    }
    requests = {"OneOne": [b"a"], "OneMany": [b"a"], "ManyOne": [b"a", b"b", b"c"], "ManyMany": [b"a", b"b"]}
    got: dict[str, list[bytes]] = {}
    async with plain_server(**handlers) as address, Channel("plain", address) as channel:
        for name, messages in requests.items():
            async with channel.stream(f"/plain.Service/{name}", sent(*messages), timeout_s=5) as responses:
                got[name] = [response async for response in responses]
    assert got == {"OneOne": [b"a!"], "OneMany": [b"a0", b"a1", b"a2"], "ManyOne": [b"a+b+c"], "ManyMany": [b"A", b"B"]}


async def test_metadata_both_ways() -> None:
    """The service gets the caller's metadata; the caller gets the initial and the trailing metadata."""

    async def serve(_: AsyncIterable[bytes], context: Any) -> AsyncIterator[bytes]:
        given = dict(context.invocation_metadata())
        await context.send_initial_metadata((("first", given["mine"]),))
        context.set_trailing_metadata((("last", "2"),))
        yield b""

    metadata = (("mine", "1"),)
    async with (
        channel_to(serve) as channel,
        channel.stream("/plain.Service/Do", sent(), timeout_s=5, metadata=metadata) as responses,
    ):
        assert ("first", "1") in await responses.initial_metadata()
        assert [response async for response in responses] == [b""]
        assert ("last", "2") in await responses.trailing_metadata()


async def test_leaving_early_cancels_the_call() -> None:
    """The service is cancelled at once, and the requests are closed."""
    cancelled, closed = asyncio.Event(), asyncio.Event()

    async def serve(_: AsyncIterable[bytes], __: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)
        finally:
            cancelled.set()

    async def waiting() -> AsyncIterator[bytes]:
        try:
            yield b"a"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with channel_to(serve) as channel:
        async with channel.stream("/plain.Service/Do", waiting(), timeout_s=None) as responses:
            await anext(aiter(responses))
        assert closed.is_set()
        await cancelled.wait()


async def test_an_exception_of_the_requests_ends_the_call() -> None:
    """The exception is raised to the reader of the responses, and the service is cancelled."""
    ended, answered = asyncio.Event(), asyncio.Event()

    async def serve(requests: AsyncIterable[bytes], _: Any) -> AsyncIterator[bytes]:
        try:
            async for request in requests:
                yield request
        finally:
            ended.set()

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        await answered.wait()
        raise NotFound("the second message is wrong")

    async with channel_to(serve) as channel:
        with pytest.raises(NotFound, match="second"):
            await read(channel, broken(), lambda _: answered.set())
        await ended.wait()


async def test_requests_that_fail_unread_leave_no_trace() -> None:
    """An exception of the requests is ignored if the caller leaves without reading the responses."""
    complaints: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))

    async def serve(requests: AsyncIterable[bytes], _: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    failed = asyncio.Event()

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        failed.set()
        raise NotFound("wrong")

    try:
        async with channel_to(serve) as channel, channel.stream("/plain.Service/Do", broken(), timeout_s=5):
            await failed.wait()
    finally:
        loop.set_exception_handler(None)
    assert complaints == []


@pytest.mark.parametrize("messages", [0, 2])
async def test_a_status_before_and_after_messages(messages: int) -> None:
    """The messages before an error are returned, then the error is raised and the requests stop."""

    async def serve(_: AsyncIterable[bytes], context: Any) -> AsyncIterator[bytes]:
        for message in [b"x"] * messages:
            yield message
        await context.abort(grpc.StatusCode.NOT_FOUND, "nobody")

    got: list[bytes] = []
    async with channel_to(serve) as channel:
        with pytest.raises(NotFound, match="nobody"):
            await read(channel, endless([], b"a"), got.append)
    assert got == [b"x"] * messages


async def test_a_service_that_does_not_read_slows_the_requests() -> None:
    """The requests are read only as fast as the service accepts them."""
    go = asyncio.Event()

    async def serve(requests: AsyncIterable[bytes], _: Any) -> AsyncIterator[bytes]:
        await go.wait()
        async for _ in requests:
            yield b""

    taken: list[int] = []
    async with (
        channel_to(serve) as channel,
        channel.stream("/plain.Service/Do", endless(taken, BIG), timeout_s=None) as responses,
    ):
        stopped_at = await settled(taken)
        assert 0 < stopped_at < 50
        go.set()
        async for _ in responses:
            if len(taken) > stopped_at + 20:
                break


async def test_a_caller_that_does_not_read_slows_the_service() -> None:
    """The service can't send more than the flow-control window holds."""
    given: list[int] = []

    async def serve(_: AsyncIterable[bytes], __: Any) -> AsyncIterator[bytes]:
        while True:
            given.append(len(given))
            yield BIG

    async with (
        channel_to(serve) as channel,
        channel.stream("/plain.Service/Do", sent(), timeout_s=None) as responses,
    ):
        await anext(aiter(responses))
        stopped_at = await settled(given)
        assert stopped_at < 50
        async for _ in responses:
            if len(given) > stopped_at + 20:
                break


async def test_the_deadline_holds_between_messages() -> None:
    """A stream ends at its deadline, even after messages have been received."""

    async def serve(_: AsyncIterable[bytes], __: Any) -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with channel_to(serve) as channel:
        with pytest.raises(DeadlineExceeded):
            await read(channel, sent(), lambda _: None)


async def test_without_a_deadline_there_is_none() -> None:
    """The service gets a call without a deadline."""

    async def serve(_: AsyncIterable[bytes], context: Any) -> AsyncIterator[bytes]:
        yield str(context.time_remaining()).encode()

    async with (
        channel_to(serve) as channel,
        channel.stream("/plain.Service/Do", sent(), timeout_s=None) as responses,
    ):
        assert [response async for response in responses] == [b"None"]


async def test_streams_open_the_circuit_and_a_stream_that_has_begun_closes_it() -> None:
    """The first message of a long stream proves that the workload is back."""
    broken = True

    async def serve(_: AsyncIterable[bytes], context: Any) -> AsyncIterator[bytes]:
        if broken:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        yield b"x"
        await asyncio.Event().wait()

    async def first(channel: Channel) -> None:
        async with channel.stream("/plain.Service/Do", sent(), timeout_s=None) as responses:
            await anext(aiter(responses))

    async with channel_to(serve) as channel:
        for _ in range(CircuitBreaker.FAILURES_MAX + 1):
            with pytest.raises(Unavailable) as caught:
                await first(channel)
        assert caught.value.reason == "CIRCUIT_OPEN"
        broken = False
        async with contextlib.AsyncExitStack() as stack:
            while True:
                try:
                    responses = await stack.enter_async_context(
                        channel.stream("/plain.Service/Do", sent(), timeout_s=None)
                    )
                    await anext(aiter(responses))
                    break
                except Unavailable:
                    await asyncio.sleep(0.02)
            for _ in range(3):
                await first(channel)


async def test_a_workload_that_is_away() -> None:
    """The call ends with Unavailable, without the address, while requests are still being sent."""
    async with plain_server() as address:
        pass
    async with Channel("plain", address) as channel:
        with pytest.raises(Unavailable) as caught:
            async with channel.stream("/plain.Service/Do", endless([], b"a"), timeout_s=5) as responses:
                await anext(aiter(responses))
    assert address not in caught.value.message
    assert caught.value.retry_after_s


async def test_a_stream_waits_for_a_workload_that_restarts() -> None:
    """A stream is not begun before there is a connection."""

    async def one(_requests: AsyncIterable[bytes], _: Any) -> AsyncIterator[bytes]:
        yield b"back"

    answers: list[bytes] = []
    async with plain_server() as address:
        port = int(address.rpartition(":")[2])
    async with Channel("plain", address) as channel:
        reading = asyncio.create_task(read(channel, sent(), answers.append, timeout_s=20))
        await asyncio.sleep(0.05)
        async with plain_server(port, Do=stream_stream(one)):
            await reading
    assert answers == [b"back"]


async def test_a_cancelled_reader_is_cancelled() -> None:
    """Cancelling the task that reads a stream ends the task and the call."""
    cancelled = asyncio.Event()

    async def serve(_: AsyncIterable[bytes], __: Any) -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    begun = asyncio.Event()

    async def read(channel: Channel) -> None:
        async with channel.stream("/plain.Service/Do", sent(b"a"), timeout_s=None) as responses:
            async for _ in responses:
                begun.set()

    async with channel_to(serve) as channel:
        task = asyncio.create_task(read(channel))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cancelled.wait()


async def test_an_odd_status_is_unknown() -> None:
    """A missing method is UNIMPLEMENTED, and a crash of the service reveals no internals."""

    async def serve(_: AsyncIterable[bytes], __: Any) -> AsyncIterator[bytes]:
        yield b"x"
        raise ValueError("at 0x7f")

    async with channel_to(serve) as channel:
        codes = []
        for name in ("Do", "Missing"):
            with pytest.raises(MeshError) as caught:
                await read(channel, sent(), lambda _: None, name=name)
            codes.append(caught.value.code)
            assert "0x" not in caught.value.message
    assert codes == [Code.UNKNOWN, Code.UNIMPLEMENTED]


async def test_a_closed_channel_ends_its_streams() -> None:
    """Streams end with an error, not with a cancellation, because their readers were not cancelled."""

    async def serve(_: AsyncIterable[bytes], __: Any) -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.Event().wait()

    async with channel_to(serve) as channel:
        seen = asyncio.Event()
        reading = asyncio.create_task(read(channel, sent(), lambda _: seen.set(), timeout_s=None))
        await seen.wait()
        await channel.__aexit__()
        with pytest.raises(Unavailable):
            await reading
