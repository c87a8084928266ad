"""The gRPC server: its port, its connections, its drain."""

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
import uvloop

from mesh.errors import MeshError
from mesh.identity import Verifier
from mesh.listening import bind
from mesh.operations import Readiness
from mesh.rpc import Call
from mesh.server import Server
from tests.issuer import AUDIENCE, ISSUER, Issuer
from tests.mesh.servers import WHISPER, bearer, never, plain_channel, serving, unary


async def test_a_drain_lets_calls_in_flight_finish(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A server that stops still finishes the calls in progress."""
    entered, leave = asyncio.Event(), asyncio.Event()

    async def handle(_request: Any, _call: Call) -> Any:
        entered.set()
        await leave.wait()
        return greeter.pb.GreetResponse(text="done")

    metadata = bearer(issuer.token("workloads/robot"))
    stack = serving(greeter, issuer, handle)
    server = await stack.__aenter__()
    async with plain_channel(server) as channel:
        call = unary(channel, WHISPER)(greeter.pb.GreetRequest(name="Ada").to_binary(), metadata=metadata)
        await entered.wait()
        stopping = asyncio.create_task(stack.__aexit__(None, None, None))
        await asyncio.sleep(0)
        leave.set()
        assert greeter.pb.GreetResponse.from_binary(await call).text == "done"
        await stopping


async def test_connections_are_renewed(
    greeter: SimpleNamespace, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients are asked to reconnect; calls in progress end on the old connection."""
    monkeypatch.setattr("mesh.server.server.CONNECTION_AGE_S", 0.2)
    leave = asyncio.Event()

    async def handle(_request: Any, _call: Call) -> Any:
        await leave.wait()
        return greeter.pb.GreetResponse(text="done")

    metadata = bearer(issuer.token("workloads/robot"))
    async with serving(greeter, issuer, handle) as server, plain_channel(server) as channel:
        await channel.channel_ready()
        call = unary(channel, WHISPER)(greeter.pb.GreetRequest(name="Ada").to_binary(), metadata=metadata)
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        leave.set()
        assert greeter.pb.GreetResponse.from_binary(await call).text == "done"
        assert await unary(channel, WHISPER)(greeter.pb.GreetRequest(name="Ada").to_binary(), metadata=metadata)


async def test_a_port_in_use_is_reported(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """A second server does not share the port, and its error names the remedy."""
    async with serving(greeter, issuer, never) as server:
        with pytest.raises(MeshError, match=f"Can't listen on 127.0.0.1:{server.port}.*Set GRPC_PORT"):
            async with serving(greeter, issuer, never, port=server.port):
                pass


def test_a_port_that_another_process_takes_at_the_same_time(
    greeter: SimpleNamespace, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have bound it before either listens, which Linux allows. The second one reports it, as on any other port."""
    first = bind("127.0.0.1", 0)

    def bind_second(host: str, port: int) -> socket.socket:
        bound = bind(host, port)
        first.listen()
        return bound

    async def start() -> None:
        async with serving(greeter, issuer, never, port=first.getsockname()[1]):
            pass

    monkeypatch.setattr("mesh.server.server.bind", bind_second)
    with first, pytest.raises(MeshError, match="Set GRPC_PORT"):
        uvloop.run(start())


async def test_an_address_that_is_not_ours_is_reported(issuer: Issuer) -> None:
    """With the reason of the system, which is no process on the same port."""
    with pytest.raises(MeshError, match=r"Can't listen on 192.0.2.1:0: Cannot assign requested address\.$"):
        async with Server("192.0.2.1:0", (), Verifier(issuer, ISSUER, AUDIENCE), Readiness(), 1.0):
            pass


async def test_an_address_of_version_6_may_be_in_brackets(issuer: Issuer) -> None:
    """As in a URL."""
    async with Server("[::1]:0", (), Verifier(issuer, ISSUER, AUDIENCE), Readiness(), 1.0) as server:
        assert server.port
