"""The deficits of gRPC's own packages for health and reflection, which are the reasons for mesh.server's: ADR 11. If a
test fails, a package has improved, and ours may be removed.
"""

import importlib.util
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc


@pytest.fixture
async def server() -> AsyncIterator[grpc.aio.Server]:
    """Starts a server, which the test may stop."""
    server = grpc.aio.server()
    yield server
    await server.stop(None)


@pytest.fixture
async def stub(server: grpc.aio.Server, servicer: health.aio.HealthServicer) -> AsyncIterator[Any]:
    """Returns a client of the package's servicer."""
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)


@pytest.fixture
def servicer() -> health.aio.HealthServicer:
    """Returns the package's servicer for grpc.aio."""
    return health.aio.HealthServicer()


def test_reflection_has_no_v1() -> None:
    """grpcio-reflection serves only v1alpha, which current clients try second."""
    assert importlib.util.find_spec("grpc_reflection.v1alpha") is not None
    assert importlib.util.find_spec("grpc_reflection.v1") is None


async def test_health_has_no_list(stub: Any) -> None:
    """The stubs of grpcio-health-checking have the method List, but its servicer returns UNIMPLEMENTED."""
    messages: Any = health_pb2  # its type stubs lack List
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.List(messages.HealthListRequest())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_does_not_end_watches_when_it_shuts_down(
    server: grpc.aio.Server, servicer: health.aio.HealthServicer, stub: Any
) -> None:
    """Watchers receive NOT_SERVING, but the call stays open: the server waits for its whole grace period."""
    watching = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
    await servicer.enter_graceful_shutdown()
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    await server.stop(0.1)
    with pytest.raises(grpc.aio.AioRpcError):
        await watching.read()
