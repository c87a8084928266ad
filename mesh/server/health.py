"""Health checking by grpc.health.v1, with the same status as /readyz.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeAlias

import grpc
import grpc.aio
from grpcapis.grpc_health.v1 import health_pb
from grpcapis.grpc_health.v1.health_pb import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)

from mesh.background import wait
from mesh.operations import Readiness

DESC = health_pb.desc().services[0]
WATCH_EVERY_S = 5.0

Status: TypeAlias = HealthCheckResponse.ServingStatus
Context: TypeAlias = "grpc.aio.ServicerContext[HealthCheckRequest, HealthCheckResponse]"


class Health:
    """The health service. Check and List return the current readiness; Watch polls it every WATCH_EVERY_S. All services
    of a process have the status of the process.
    """

    def __init__(self, readiness: Readiness, services: Sequence[str]) -> None:
        self._readiness = readiness
        self._names = ("", *services)
        self._stopping = asyncio.Event()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Returns the handlers to register with a gRPC server."""
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Check": grpc.unary_unary_rpc_method_handler(
                self.check, HealthCheckRequest.from_binary, HealthCheckResponse.to_binary
            ),
            "List": grpc.unary_unary_rpc_method_handler(
                self.list, HealthListRequest.from_binary, HealthListResponse.to_binary
            ),
            "Watch": grpc.unary_stream_rpc_method_handler(
                self.watch, HealthCheckRequest.from_binary, HealthCheckResponse.to_binary
            ),
        }
        return grpc.method_handlers_generic_handler(DESC.type_name, methods)

    def stop(self) -> None:
        """Notifies the watchers that the process stops, and ends their calls."""
        self._stopping.set()

    async def check(self, request: HealthCheckRequest, context: Context) -> HealthCheckResponse:
        """Handles Check: returns the status of a service."""
        if request.service not in self._names:
            await context.abort(grpc.StatusCode.NOT_FOUND, "This process has no such service.")
        return HealthCheckResponse(status=await self._status())

    async def list(
        self, _request: HealthListRequest, _context: "grpc.aio.ServicerContext[HealthListRequest, HealthListResponse]"
    ) -> HealthListResponse:
        """Handles List: returns the status of all services."""
        status = await self._status()
        return HealthListResponse(statuses={name: HealthCheckResponse(status=status) for name in self._names})

    async def watch(self, request: HealthCheckRequest, _context: Context) -> AsyncIterator[HealthCheckResponse]:
        """Handles Watch: yields the current status, then every change."""
        sent: Status | None = None
        while sent is None or not self._stopping.is_set():
            status = await self._status() if request.service in self._names else Status.SERVICE_UNKNOWN
            if status is not sent:
                yield HealthCheckResponse(status=status)
                sent = status
            await wait(self._stopping, WATCH_EVERY_S)
        if sent is Status.SERVING:
            yield HealthCheckResponse(status=Status.NOT_SERVING)

    async def _status(self) -> Status:
        return Status.NOT_SERVING if await self._readiness.problems() else Status.SERVING
