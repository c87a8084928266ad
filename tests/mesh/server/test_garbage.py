"""Calls of a service are freed when they end. What only the garbage collector frees stays for thousands of calls."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest

from mesh.errors import MeshError, NotFound
from mesh.rpc import Call
from tests.garbage import alive, settled
from tests.issuer import Issuer
from tests.mesh.servers import GREET, SHOUT, plain_channel, serving, unary
from tests.mesh.stream_service import Streams
from tests.mesh.stream_service import serving as serving_streams

pytestmark = pytest.mark.usefixtures("no_collector")

ERRORS = (MeshError, KeyError, asyncio.CancelledError)


async def answer(greeter: SimpleNamespace, request: Any) -> Any:
    """Greets, or fails as the name says."""
    match request.name:
        case "missing":
            raise NotFound("There is nobody of this name.")
        case "broken":
            raise KeyError(request)
        case "slow":
            await asyncio.Event().wait()
    return greeter.pb.GreetResponse(text=request.name)


@pytest.mark.parametrize(
    ("path", "name"),
    [(SHOUT, name) for name in ("Ada", "missing", "broken", "slow", "", "x" * 100_000)] + [(GREET, "Ada")],
)
async def test_a_call_is_freed(greeter: SimpleNamespace, issuer: Issuer, path: str, name: str) -> None:
    """Also one that fails: the frames of its error would keep the request. Greet() needs a token, which is missing."""

    async def handle(request: Any, _call: Call) -> Any:
        return await answer(greeter, request)

    kinds = (greeter.pb.GreetRequest, Call, *ERRORS)
    request = greeter.pb.GreetRequest(name=name).to_binary()
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:

        async def call() -> None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await unary(channel, path)(request, timeout=0.1 if name == "slow" else None)

        await call()
        before = alive(*kinds)
        for _ in range(5):
            await call()
        assert await settled(before, *kinds) <= before


async def test_a_cancelled_call_is_freed(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Its task keeps the error, whose frames refer to the task, and to the request."""
    begun = asyncio.Event()

    async def handle(_request: Any, _call: Call) -> Any:
        begun.set()
        await asyncio.Event().wait()

    kinds = (greeter.pb.GreetRequest, Call)  # and no errors: the client's task keeps one, too
    request = greeter.pb.GreetRequest(name="Ada").to_binary()
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:

        async def call() -> None:
            begun.clear()
            calling: Any = unary(channel, SHOUT)(request)
            ended = asyncio.ensure_future(calling.code())
            await begun.wait()
            calling.cancel()
            assert await ended is grpc.StatusCode.CANCELLED

        before = alive(*kinds)
        for _ in range(5):
            await call()
        assert await settled(before, *kinds) <= before


@pytest.mark.parametrize("method", ["count", "sum", "echo"])
@pytest.mark.parametrize("name", ["Ada", "missing", "broken", ""])
async def test_a_stream_is_freed(greeter: SimpleNamespace, issuer: Issuer, method: str, name: str) -> None:
    """Streams of each kind, which end well or with an error."""

    async def count(request: Any, _call: Call) -> AsyncIterator[Any]:
        yield await answer(greeter, request)

    async def total(requests: AsyncIterator[Any], _call: Call) -> Any:
        return [await answer(greeter, request) async for request in requests][-1]

    async def echo(requests: AsyncIterator[Any], _call: Call) -> AsyncIterator[Any]:
        async for request in requests:
            yield await answer(greeter, request)

    handlers = Streams(greeter, count=count, sum=total, echo=echo)
    kinds = (greeter.pb.GreetRequest, Call, *ERRORS)
    request = greeter.pb.GreetRequest(name=name).to_binary()
    metadata = (("authorization", f"Bearer {issuer.token('users/ada', 'greet')}"),)
    async with (
        serving_streams(greeter, issuer, handlers) as (server, _),
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        path = f"/greeter.v1.StreamService/{method.capitalize()}"

        async def call() -> None:
            with contextlib.suppress(grpc.aio.AioRpcError):
                match method:
                    case "count":
                        await channel.unary_stream(path)(request).read()
                    case "sum":
                        await channel.stream_unary(path)(iter([request]), metadata=metadata)
                    case "echo":
                        stream: Any = channel.stream_stream(path)(iter([request]))
                        await stream.read()

        await call()
        before = alive(*kinds)
        for _ in range(5):
            await call()
        assert await settled(before, *kinds) <= before
