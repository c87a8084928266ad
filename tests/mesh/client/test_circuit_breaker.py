"""The circuit breaker of a channel: the failures that open it, the answers that close it, and the limits of callers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from mesh.client import Channel, UnaryResponse, raw_channel
from mesh.client.circuit_breaker import CircuitBreaker
from mesh.errors import Code, DeadlineExceeded, Internal, MeshError, PermissionDenied, Unavailable, Unknown
from mesh.rpc.status import DETAILS_TRAILER, to_status
from tests.mesh.servers import plain_server

TRIES = 2 * CircuitBreaker.FAILURES_MAX
PATH = "/plain.Service/Do"

Context = grpc.aio.ServicerContext[bytes, bytes]


@contextlib.asynccontextmanager
async def workload(serve: Any, **options: Any) -> AsyncIterator[Channel]:
    """Opens a channel to a workload whose only method is `serve`."""
    method: Any = grpc.unary_unary_rpc_method_handler(serve)
    async with plain_server(Do=method) as address, Channel("plain", address, **options) as channel:
        yield channel


async def call(channel: Channel, request: bytes = b"", *, timeout_s: float = 30.0, **options: Any) -> UnaryResponse:
    """Calls the method of the workload."""
    return await channel.unary(PATH, request, timeout_s=timeout_s, **options)


async def fail(channel: Channel) -> Unavailable:
    """Calls a workload that is away, soon giving up. A machine may be too busy for a call to find out in that time."""
    while True:
        try:
            await call(channel, timeout_s=0.3)
        except DeadlineExceeded:
            continue
        except Unavailable as error:
            return error


async def is_open(channel: Channel) -> bool:
    """Returns whether a call is rejected without being sent."""
    try:
        await call(channel, b"probe")
    except MeshError as error:
        return error.reason == "CIRCUIT_OPEN"
    return False


@contextlib.asynccontextmanager
async def hung_up() -> AsyncIterator[str]:
    """Starts a server that closes each connection, and returns its address."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a circuit stay open once it has opened, however late the next call comes."""
    monkeypatch.setattr(CircuitBreaker, "OPEN_S_MIN", 3600.0)


@pytest.mark.usefixtures("no_probe")
async def test_it_opens_while_a_workload_cannot_be_reached() -> None:
    """Calls fail without being sent."""
    async with hung_up() as address, Channel("plain", address) as channel:
        for _ in range(CircuitBreaker.FAILURES_MAX):
            assert (await fail(channel)).reason != "CIRCUIT_OPEN"
        assert await is_open(channel)
    async with Channel("plain", address) as channel:
        for _ in range(CircuitBreaker.FAILURES_MAX):
            await fail(channel)
        assert await is_open(channel)


async def test_it_closes_when_a_workload_can_be_reached() -> None:
    """Calls fail until a probe succeeds."""

    async def serve(request: bytes, _: Context) -> bytes:
        return request

    async with hung_up() as address:
        pass
    async with Channel("plain", address) as channel:
        for _ in range(CircuitBreaker.FAILURES_MAX):
            await fail(channel)
        port = int(address.rpartition(":")[2])
        async with plain_server(port, Do=grpc.unary_unary_rpc_method_handler(serve)):
            while await is_open(channel):
                await asyncio.sleep(0.02)
            assert (await call(channel, b"back")).message == b"back"


@contextlib.asynccontextmanager
async def after_outage(serve: Any) -> AsyncIterator[Channel]:
    """Opens a channel whose workload has been away until the circuit breaker was open, and may be called again."""
    async with hung_up() as address:
        pass
    async with Channel("plain", address) as channel:
        for _ in range(CircuitBreaker.FAILURES_MAX):
            await fail(channel)
        port = int(address.rpartition(":")[2])
        async with plain_server(port, Do=grpc.unary_unary_rpc_method_handler(serve)):
            while not await can_reach(channel):
                await asyncio.sleep(0.02)
            await asyncio.sleep(CircuitBreaker.OPEN_S_MIN)
            yield channel


async def can_reach(channel: Channel) -> bool:
    """Returns whether the workload of a channel can be reached."""
    try:
        await channel.check()
    except Unavailable:
        return False
    return True


async def test_calls_beside_the_probe_wait_for_its_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first calls after an outage are all answered, though only one of them may find out that it is over."""

    async def serve(request: bytes, _: Context) -> bytes:
        await asyncio.sleep(0.05)
        return request

    async with after_outage(serve) as channel:
        monkeypatch.setattr(CircuitBreaker, "OPEN_S_MIN", 30.0)  # they wait no longer than that
        answers = await asyncio.gather(*(call(channel, b"back") for _ in range(10)))
        assert [answer.message for answer in answers] == [b"back"] * 10


async def test_calls_beside_a_probe_without_an_outcome_fail_soon() -> None:
    """They do not wait as long as the probe does."""
    may_answer = asyncio.Event()

    async def serve(request: bytes, _: Context) -> bytes:
        await may_answer.wait()
        return request

    async with after_outage(serve) as channel:
        channel._breaker._open_s = 3600.0  # until another call becomes the probe
        probe = asyncio.create_task(call(channel))
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as caught:
            await call(channel)
        assert caught.value.reason == "CIRCUIT_OPEN"
        assert not probe.done()
        may_answer.set()
        await probe


class Clock:
    """The time.monotonic() that a circuit breaker sees."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that the test sets."""
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def open_breaker(clock: Clock) -> CircuitBreaker:
    """Returns a breaker that has just opened for the longest time, after some failed probes."""
    breaker = CircuitBreaker()
    open_s = 0.0
    while open_s < CircuitBreaker.OPEN_S_MAX:
        clock.now += open_s
        breaker.record_failure(clock.now)
        open_s = breaker.admit()
    return breaker


def test_callers_wait_for_the_outcome_of_a_probe_only(clock: Clock) -> None:
    """However long the circuit would stay open if the probe failed, others may call again soon after it has begun."""
    breaker = open_breaker(clock)
    assert breaker.admit() == CircuitBreaker.OPEN_S_MAX
    clock.now += CircuitBreaker.OPEN_S_MAX
    assert breaker.admit() == 0.0
    assert breaker.admit() == CircuitBreaker.OPEN_S_MIN
    breaker.record_failure(clock.now)
    assert breaker.admit() == CircuitBreaker.OPEN_S_MAX


def test_a_slow_probe_holds_up_slow_calls_only(clock: Clock) -> None:
    """A long poll may be the first call after an outage, and is answered late. Others find out that it is over."""
    breaker = open_breaker(clock)
    clock.now += CircuitBreaker.OPEN_S_MAX
    assert breaker.admit(slow=True) == 0.0
    assert breaker.admit(slow=True) > 0.0
    assert breaker.admit() == 0.0
    breaker.record_answer()
    assert breaker.admit(slow=True) == breaker.admit() == 0.0


def test_calls_that_fail_together_open_it_once(clock: Clock) -> None:
    """Those that had begun before it opened say nothing about the time after."""
    breaker, begun = CircuitBreaker(), clock.now
    clock.now += 1
    for _ in range(TRIES):
        breaker.record_failure(begun)
    assert breaker.admit() == CircuitBreaker.OPEN_S_MIN


@pytest.mark.parametrize("error", [Unavailable, DeadlineExceeded, Internal, Unknown, PermissionDenied])
async def test_an_error_of_the_service_does_not_open_it(error: type[MeshError]) -> None:
    """The caller may have caused any status that the service returns deliberately."""

    async def serve(request: bytes, context: Context) -> bytes:
        if request:
            return request
        status = to_status(error("not you"))
        code = next(each for each in grpc.StatusCode if each.value[0] == error.code)
        await context.abort(code, status.message, ((DETAILS_TRAILER, status.to_binary()),))
        raise AssertionError("abort raises")

    async with workload(serve) as channel:
        for _ in range(TRIES):
            with pytest.raises(error, match="not you"):
                await call(channel)
        assert not await is_open(channel)


@pytest.mark.parametrize("patience_s", [0.002, 0.01, 0.05])
async def test_callers_with_short_deadlines_do_not_open_it(patience_s: float) -> None:
    """A call with a short deadline proves nothing about the workload; each ends with DEADLINE_EXCEEDED."""

    async def serve(request: bytes, _: Context) -> bytes:
        if not request:
            await asyncio.Event().wait()
        return request

    async with workload(serve) as channel:
        for _ in range(TRIES):
            with pytest.raises(DeadlineExceeded):
                await call(channel, patience_s=patience_s)
        assert not await is_open(channel)


@pytest.mark.usefixtures("no_probe")
async def test_a_hung_workload_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload that answers nothing for the whole timeout counts as failed."""
    monkeypatch.setattr(raw_channel, "DEADLINE_COUNTS_S", 0.05)

    async def serve(_: bytes, __: Context) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with workload(serve) as channel:
        await channel.check()  # the time that it takes to connect does not count
        for _ in range(CircuitBreaker.FAILURES_MAX):
            with pytest.raises(DeadlineExceeded):
                await call(channel, timeout_s=0.1)
        assert await is_open(channel)


async def test_an_expensive_call_does_not_open_it_while_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """If other calls are answered, an exceeded deadline is the fault of the expensive call."""
    monkeypatch.setattr(raw_channel, "DEADLINE_COUNTS_S", 0.05)

    async def serve(request: bytes, _: Context) -> bytes:
        if not request:
            await asyncio.Event().wait()
        return request

    async with workload(serve) as channel:
        for _ in range(TRIES):
            slow = asyncio.create_task(call(channel, timeout_s=0.1))
            await asyncio.sleep(0.02)
            await call(channel, b"another")
            with pytest.raises(DeadlineExceeded):
                await slow
        assert not await is_open(channel)


async def test_callers_with_short_deadlines_do_not_keep_it_open() -> None:
    """If the caller abandons the probe, the next call becomes the probe."""
    breaker = CircuitBreaker()
    for _ in range(CircuitBreaker.FAILURES_MAX + 6):
        breaker.record_failure(begun=1.0)
    breaker._open_until = 0.0  # time has passed
    assert breaker.admit() == 0.0
    assert breaker.admit() > 0.0
    breaker.record_abandoned()
    assert breaker.admit() == 0.0
    breaker.record_answer()
    assert [breaker.admit() for _ in range(3)] == [0.0] * 3


async def test_in_a_mesh_it_neither_opens_nor_repeats_calls() -> None:
    """The service mesh breaks circuits and retries; doing so here too would multiply the attempts."""
    tries = 0

    async def serve(_: bytes, context: Context) -> bytes:
        nonlocal tries
        tries += 1
        await context.abort(grpc.StatusCode.UNAVAILABLE, "endpoint is ejected")
        return b""

    async with workload(serve, in_mesh=True) as channel:
        for _ in range(TRIES):
            with pytest.raises(Unavailable) as caught:
                await call(channel, idempotent=True)
            assert caught.value.reason != "CIRCUIT_OPEN"
    assert tries == TRIES


NEAR_CODES = [grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE]


@pytest.mark.parametrize("code", NEAR_CODES)
async def test_a_deadline_that_passes_has_one_name(code: grpc.StatusCode, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is DEADLINE_EXCEEDED however gRPC's library reports it, unless the service sent a status of its own."""
    monkeypatch.setattr(raw_channel, "DEADLINE_NEAR_S", 10.0)  # the moment, made long

    async def serve(request: bytes, context: Context) -> bytes:
        trailers = ((DETAILS_TRAILER, request),) if request else ()
        await context.abort(code, "Stream removed", trailers)
        return b""

    meant = to_status(Internal("Out of cheese.", reason="CHEESE"))
    meant.code = code.value[0]
    async with workload(serve) as channel:
        with pytest.raises(DeadlineExceeded):
            await call(channel, timeout_s=5)
        with pytest.raises(MeshError, match="Out of cheese") as caught:
            await call(channel, meant.to_binary(), timeout_s=5)
        assert caught.value.code == Code(code.value[0])
        with pytest.raises(MeshError) as early:
            await call(channel, timeout_s=60)
        assert early.value.code is not Code.DEADLINE_EXCEEDED


async def test_a_stream_ends_when_its_caller_waits_no_longer() -> None:
    """The stream ends with DEADLINE_EXCEEDED; the service gets the contract's timeout and is cancelled."""
    timeouts_s: list[float] = []
    ended = asyncio.Event()

    async def serve(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        timeouts_s.append(context.time_remaining())
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def requests() -> AsyncIterator[bytes]:
        yield b""

    method: Any = grpc.stream_stream_rpc_method_handler(serve)
    async with plain_server(Do=method) as address, Channel("plain", address) as channel:
        received: list[bytes] = []

        async def receive() -> None:
            async with channel.stream(PATH, requests(), timeout_s=60, patience_s=0.5) as stream:
                received.append(await anext(stream))
                await anext(stream)

        while not received:  # the first message may not come in that time
            with pytest.raises(DeadlineExceeded):
                await receive()
        assert received == [b"first"]
        await ended.wait()
        assert timeouts_s[0] > 0.5


@contextlib.asynccontextmanager
async def mute() -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Starts a server that sends nothing. Returns its address, and an event for the first connection."""
    connected, done = asyncio.Event(), asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await done.wait()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", connected
        done.set()


async def nothing() -> AsyncIterator[bytes]:
    """Yields no requests."""
    return
    yield


async def test_a_stream_waits_for_its_connection_no_longer_than_its_caller() -> None:
    """The caller's patience includes the time before the stream is opened; then it ends with DEADLINE_EXCEEDED."""
    async with mute() as (address, _), Channel("mute", address) as channel:
        with pytest.raises(DeadlineExceeded):
            async with channel.stream(PATH, nothing(), timeout_s=None, patience_s=0.1) as stream:
                await anext(stream)


async def test_a_stream_that_is_cancelled_while_it_connects_is_no_probe() -> None:
    """If the caller of the probe leaves before there is a connection, the next call becomes the probe."""
    async with mute() as (address, connected), Channel("mute", address) as channel:
        breaker = channel._breaker
        for _ in range(CircuitBreaker.FAILURES_MAX):
            breaker.record_failure(time.monotonic())
        await asyncio.sleep(breaker.admit(slow=True) + 0.01)

        async def open_stream() -> None:
            async with channel.stream(PATH, nothing(), timeout_s=None) as stream:
                await anext(stream)

        probe = asyncio.create_task(open_stream())
        await connected.wait()
        probe.cancel()
        with pytest.raises(asyncio.CancelledError):
            await probe
        assert breaker.admit(slow=True) == 0
