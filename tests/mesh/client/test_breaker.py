"""The circuit breaker of a channel: what opens it, what closes it, and what callers can't make it do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest

from mesh.client import Channel, UnaryResponse, raw_channel
from mesh.client.breaker import Breaker
from mesh.errors import Code, DeadlineExceeded, Internal, MeshError, PermissionDenied, Unavailable, Unknown
from mesh.rpc.status import DETAILS_TRAILER, to_status
from tests.mesh.servers import plain_server

TRIES = 2 * Breaker.FAILURES_MAX
PATH = "/plain.Service/Do"

Context = grpc.aio.ServicerContext[bytes, bytes]


@contextlib.asynccontextmanager
async def workload(serve: Any, **options: Any) -> AsyncIterator[Channel]:
    """A channel to a workload whose one method is `serve`."""
    method: Any = grpc.unary_unary_rpc_method_handler(serve)
    async with plain_server(Do=method) as address, Channel("plain", address, **options) as channel:
        yield channel


async def call(channel: Channel, request: bytes = b"", *, timeout_s: float = 30.0, **options: Any) -> UnaryResponse:
    """A call of its method."""
    return await channel.unary(PATH, request, timeout_s=timeout_s, **options)


async def is_open(channel: Channel) -> bool:
    """Whether a call is refused without being made."""
    try:
        await call(channel, b"probe")
    except MeshError as error:
        return error.reason == "CIRCUIT_OPEN"
    return False


@contextlib.asynccontextmanager
async def hung_up() -> AsyncIterator[str]:
    """The address of a process that closes each connection."""

    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_it_opens_while_a_workload_cannot_be_reached_and_closes_when_it_can() -> None:
    """Calls fail without being made, until a probe succeeds."""

    async def serve(request: bytes, _: Context) -> bytes:
        return request

    async with hung_up() as address, Channel("plain", address) as channel:
        for _ in range(Breaker.FAILURES_MAX):
            with pytest.raises(Unavailable) as caught:
                await call(channel, timeout_s=0.3)
            assert caught.value.reason != "CIRCUIT_OPEN"
        assert await is_open(channel)
    async with Channel("plain", address) as channel:
        for _ in range(Breaker.FAILURES_MAX):
            with pytest.raises(Unavailable):
                await call(channel, timeout_s=0.3)
        assert await is_open(channel)
        port = int(address.rpartition(":")[2])
        async with plain_server(port, Do=grpc.unary_unary_rpc_method_handler(serve)):
            while await is_open(channel):
                await asyncio.sleep(0.02)
            assert (await call(channel, b"back")).message == b"back"


@pytest.mark.parametrize("error", [Unavailable, DeadlineExceeded, Internal, Unknown, PermissionDenied])
async def test_what_a_service_answers_does_not_open_it(error: type[MeshError]) -> None:
    """A caller may have provoked any status that the service means."""

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
async def test_callers_in_a_hurry_do_not_open_it(patience_s: float) -> None:
    """What a caller does not wait for says nothing of the workload; each gets DEADLINE_EXCEEDED."""

    async def serve(request: bytes, _: Context) -> bytes:
        if not request:
            await asyncio.Event().wait()
        return request

    async with workload(serve) as channel:
        for _ in range(TRIES):
            with pytest.raises(DeadlineExceeded):
                await call(channel, patience_s=patience_s)
        assert not await is_open(channel)


async def test_a_hung_workload_opens_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers nothing for the whole timeout."""
    monkeypatch.setattr(raw_channel, "DEADLINE_COUNTS_S", 0.05)

    async def serve(_: bytes, __: Context) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with workload(serve) as channel:
        for _ in range(Breaker.FAILURES_MAX):
            with pytest.raises(DeadlineExceeded):
                await call(channel, timeout_s=0.1)
        assert await is_open(channel)


async def test_an_expensive_call_does_not_open_it_while_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline is the fault of the call that needs longer."""
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


async def test_callers_in_a_hurry_do_not_keep_it_open() -> None:
    """A probe that its caller gives up makes room for the next one."""
    breaker = Breaker()
    for _ in range(Breaker.FAILURES_MAX + 6):
        breaker.record_failure(begun=1.0)
    breaker._open_until = 0.0  # time has passed
    assert breaker.admit() == 0.0
    assert breaker.admit() > 0.0
    breaker.record_abandoned()
    assert breaker.admit() == 0.0
    breaker.record_answer()
    assert [breaker.admit() for _ in range(3)] == [0.0] * 3


async def test_in_a_mesh_it_neither_opens_nor_repeats_calls() -> None:
    """The mesh does both; twice would multiply."""
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
    """Whatever gRPC's libraries make of it in the same moment, unless the service says what it means."""
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
    """With DEADLINE_EXCEEDED, while the service is told the contract's timeout and is cancelled."""
    told: list[float] = []
    ended = asyncio.Event()

    async def serve(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        told.append(context.time_remaining())
        try:
            yield b"first"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def requests() -> AsyncIterator[bytes]:
        yield b""

    method: Any = grpc.stream_stream_rpc_method_handler(serve)
    async with plain_server(Do=method) as address, Channel("plain", address) as channel:
        async with channel.stream(PATH, requests(), timeout_s=60, patience_s=0.5) as stream:
            assert await anext(stream) == b"first"
            with pytest.raises(DeadlineExceeded):
                await anext(stream)
        await ended.wait()
        assert told[0] > 0.5
