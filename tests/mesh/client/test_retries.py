"""Retries: their number, whoever makes them."""

from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest

from mesh.client import RawChannel
from mesh.errors import MeshError, Unavailable
from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.rpc import Call
from tests.given_token import GivenToken
from tests.issuer import Issuer
from tests.mesh.http2.scripted import PATH, Peer, scripted
from tests.mesh.servers import channel_to, plain_server, serving

BUDGET = "mesh.client.retry_budget.RETRIES_MAX"


async def test_one_limit_bounds_the_attempts_of_channel_and_transport() -> None:
    """A server that has begun no call gets each three times, as any other server that fails."""
    requests, peers = 0, list[Peer]()

    async def refuse(peer: Peer) -> None:
        nonlocal requests
        peers.append(peer)
        await peer.start()
        while True:
            stream = await peer.request()
            requests += 1
            peer.send(frames.rst_stream(stream, ErrorCode.REFUSED_STREAM))

    async with scripted(refuse) as address:
        async with RawChannel("refusing", address) as channel:
            with pytest.raises(Unavailable):
                await channel.unary(PATH, b"", timeout_s=30, idempotent=True)
        for peer in peers:
            await peer.close()  # gRPC's library keeps the connection of a closed channel for a minute
    assert 3 <= requests <= 6  # gRPC's library makes each attempt once more if it was refused


async def test_a_call_is_not_retried_before_the_time_that_the_workload_names(
    greeter: SimpleNamespace, issuer: Issuer
) -> None:
    """The error of a service whose own call has failed after all retries is final: retries of several layers would
    multiply.
    """
    tries = 0

    async def handle(_request: Any, _call: Call) -> Any:
        nonlocal tries
        tries += 1
        raise Unavailable("The stock does not respond.", reason="STOCK_UNAVAILABLE", retry_after_s=1)

    tokens = GivenToken(issuer.token("workloads/robot"))
    async with serving(greeter, issuer, handle) as server, channel_to(server, tokens=tokens) as channel:
        with pytest.raises(Unavailable) as caught:
            await greeter.grpc.GreeterServiceClient(channel).greet(greeter.pb.GreetRequest(name="Ada"))
    assert (tries, caught.value.reason, caught.value.retry_after_s) == (1, "STOCK_UNAVAILABLE", 1)


async def test_retries_are_few_beside_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload that fails every other call gets few more calls than its callers make."""
    monkeypatch.setattr(BUDGET, 4)
    failed = 0

    async def serve(request: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
        nonlocal failed
        if request:
            failed += 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        return b"answer"

    method: Any = grpc.unary_unary_rpc_method_handler(serve)
    async with plain_server(Do=method) as address, RawChannel("plain", address) as channel:
        for _ in range(30):
            await channel.unary(PATH, b"", timeout_s=30, idempotent=True)
            with pytest.raises(MeshError):
                await channel.unary(PATH, b"fail", timeout_s=30, idempotent=True)
    assert 30 + 4 <= failed <= 30 + 4 + 3
