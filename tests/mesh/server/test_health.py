"""grpc.health.v1 of a server."""

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.issuer import Issuer
from tests.mesh.servers import never, plain_channel, serving


class Failing:
    """A part of a process that can be broken and mended."""

    name = "part"

    def __init__(self) -> None:
        self.broken = True

    async def check(self) -> None:
        """Raises while it is broken."""
        if self.broken:
            raise RuntimeError("secret detail")


async def test_health_tells_what_readiness_tells(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """grpc.health.v1 fails while a part of the process does, and recovers with it."""
    part = Failing()
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        server.readiness.add(part)
        health: Any = health_pb2_grpc.HealthStub(channel)
        for name in ("", "greeter.v1.GreeterService"):
            part.broken = True
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
            part.broken = False
            answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_of_all_services_and_of_none(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """List has them all; Check of an unknown one is NOT_FOUND, and Watch says that it is unknown."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        health_messages: Any = health_pb2  # its stubs do not know List yet
        health: Any = health_pb2_grpc.HealthStub(channel)
        listed = await health.List(health_messages.HealthListRequest())
        assert {name: answer.status for name, answer in listed.statuses.items()} == {
            "": health_pb2.HealthCheckResponse.SERVING,
            "greeter.v1.GreeterService": health_pb2.HealthCheckResponse.SERVING,
        }
        unknown = health_pb2.HealthCheckRequest(service="nobody.v1.Nobody")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(unknown)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        watching = health.Watch(unknown)
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watching.cancel()


async def test_who_watches_is_told_of_each_change_and_of_the_end(
    greeter: SimpleNamespace, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part fails and recovers, the server stops; a status is told once, and nobody holds the drain up."""
    monkeypatch.setattr("mesh.server.health.WATCH_EVERY_S", 0.01)
    part = Failing()
    stack = serving(greeter, issuer, never)
    server = await stack.__aenter__()
    async with plain_channel(server) as channel:
        server.readiness.add(part)
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        told = []
        for part.broken in (True, False):
            told.append((await watching.read()).status)
        stopping = asyncio.create_task(stack.__aexit__(None, None, None))
        told.append((await watching.read()).status)
        assert await watching.read() is grpc.aio.EOF
        await stopping
    status = health_pb2.HealthCheckResponse
    assert told == [status.NOT_SERVING, status.SERVING, status.NOT_SERVING]
