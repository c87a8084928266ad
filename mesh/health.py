"""grpc.health.v1, which tells what /readyz tells."""

import asyncio
from collections.abc import Sequence
from typing import TypeAlias

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from mesh.operations import Readiness

WATCH_EVERY_S = 5.0

Context: TypeAlias = "grpc.aio.ServicerContext[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]"

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Answers Check with the readiness of this moment, and Watch with that of the last look, every WATCH_EVERY_S."""

    def __init__(self, readiness: Readiness, services: Sequence[str]) -> None:
        self._readiness = readiness
        self._names = ("", *services)
        self._servicer = _Servicer(self)
        self._task: asyncio.Task[None] | None = None

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers the service."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def start(self) -> None:
        """Begins to look."""
        self._task = asyncio.create_task(self._watch(), name="health")

    async def stop(self) -> None:
        """NOT_SERVING from now on."""
        if self._task is not None:
            self._task.cancel()
        await self._servicer.enter_graceful_shutdown()

    async def look(self) -> None:
        """Takes the readiness of this moment over."""
        status = _NOT_SERVING if await self._readiness.problems() else _SERVING
        for name in self._names:
            await self._servicer.set(name, status)

    async def _watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(WATCH_EVERY_S)


class _Servicer(health.aio.HealthServicer):
    def __init__(self, owner: Health) -> None:
        super().__init__()
        self._owner = owner

    async def Check(  # noqa: N802 - the RPC's own name
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        await self._owner.look()
        return await super().Check(request, context)
