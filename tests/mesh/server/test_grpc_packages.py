"""What gRPC's own packages for health and reflection lack, so that mesh.server does it: ADR 11.

A test that fails here says that a package has learned something, and that ours may go.
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
    """A server, to be stopped by the test or after it."""
    server = grpc.aio.server()
    yield server
    await server.stop(None)


@pytest.fixture
async def stub(server: grpc.aio.Server, servicer: health.aio.HealthServicer) -> AsyncIterator[Any]:
    """A client of the package's servicer."""
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield health_pb2_grpc.HealthStub(channel)


@pytest.fixture
def servicer() -> health.aio.HealthServicer:
    """The package's servicer for grpc.aio."""
    return health.aio.HealthServicer()


def test_reflection_has_no_v1() -> None:
    """grpcio-reflection serves v1alpha only, which current clients ask for second."""
    assert importlib.util.find_spec("grpc_reflection.v1alpha") is not None
    assert importlib.util.find_spec("grpc_reflection.v1") is None


async def test_health_has_no_list(stub: Any) -> None:
    """grpcio-health-checking has the method List in its stubs, and answers UNIMPLEMENTED."""
    messages: Any = health_pb2  # whose type stubs have no List yet
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.List(messages.HealthListRequest())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_health_does_not_end_watches_when_it_shuts_down(
    server: grpc.aio.Server, servicer: health.aio.HealthServicer, stub: Any
) -> None:
    """Whoever watches is sent NOT_SERVING, and kept: the server waits for its whole grace, and breaks the call off."""
    watching = stub.Watch(health_pb2.HealthCheckRequest())
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
    await servicer.enter_graceful_shutdown()
    assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    await server.stop(0.1)
    with pytest.raises(grpc.aio.AioRpcError):
        await watching.read()
