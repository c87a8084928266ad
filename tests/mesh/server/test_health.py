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
    """A component of a process that can be made to fail."""

    name = "part"

    def __init__(self) -> None:
        self.broken = True

    async def check(self) -> None:
        """Raises an error while the component fails."""
        if self.broken:
            raise RuntimeError("secret detail")


async def test_health_has_the_status_of_readiness(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """grpc.health.v1 fails while a component fails, and recovers with it."""
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
    """List returns all services; Check of an unknown one is NOT_FOUND, and Watch returns SERVICE_UNKNOWN."""
    async with serving(greeter, issuer, never) as server, plain_channel(server) as channel:
        health_messages: Any = health_pb2  # its type stubs lack List
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


async def test_watchers_are_notified_of_each_change_and_of_the_end(
    greeter: SimpleNamespace, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A status is sent once, when it changes and when the server stops, and watchers do not delay the drain."""
    monkeypatch.setattr("mesh.server.health.WATCH_EVERY_S", 0.01)
    part = Failing()
    stack = serving(greeter, issuer, never)
    server = await stack.__aenter__()
    async with plain_channel(server) as channel:
        server.readiness.add(part)
        health: Any = health_pb2_grpc.HealthStub(channel)
        watching = health.Watch(health_pb2.HealthCheckRequest())
        statuses = []
        for part.broken in (True, False):
            statuses.append((await watching.read()).status)
        stopping = asyncio.create_task(stack.__aexit__(None, None, None))
        statuses.append((await watching.read()).status)
        assert await watching.read() is grpc.aio.EOF
        await stopping
    status = health_pb2.HealthCheckResponse
    assert statuses == [status.NOT_SERVING, status.SERVING, status.NOT_SERVING]
