"""Health checking by grpc.health.v1, with the same status as /readyz.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md
"""

import asyncio
from collections.abc import Sequence
from typing import Final, TypeAlias

from grpcapis.grpc_health.v1 import health_pb
from grpcapis.grpc_health.v1.health_pb import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)

from mesh.background import wait
from mesh.errors import Code
from mesh.http2.server.call import Route, ServerCall
from mesh.operations import Readiness
from mesh.rpc.call_error import CallError
from mesh.server.parsing import parse

DESC = health_pb.desc().services[0]
WATCH_EVERY_S = 5.0
REQUEST_BYTES_MAX: Final = 4_096

Status: TypeAlias = HealthCheckResponse.ServingStatus


class Health:
    """The health service. Check and List return the current readiness; Watch polls it every WATCH_EVERY_S. All services
    of a process have the status of the process.
    """

    def __init__(self, readiness: Readiness, services: Sequence[str]) -> None:
        self._readiness = readiness
        self._names = ("", *services)
        self._stopping = asyncio.Event()

    def routes(self) -> dict[str, Route]:
        """Returns the routes to the methods, for a server."""
        methods = {"Check": self._check, "List": self._list, "Watch": self._watch}
        return {
            f"/{DESC.type_name}/{name}": Route(serve, takes_stream=False, message_bytes_max=REQUEST_BYTES_MAX)
            for name, serve in methods.items()
        }

    def stop(self) -> None:
        """Notifies the watchers that the process stops, and ends their calls."""
        self._stopping.set()

    async def _check(self, call: ServerCall) -> None:
        """Returns the status of a service."""
        if parse(HealthCheckRequest, call.request()).service not in self._names:
            raise CallError(Code.NOT_FOUND, "This process has no such service.")
        call.finish(_response(await self._status()))

    async def _list(self, call: ServerCall) -> None:
        """Returns the status of all services."""
        parse(HealthListRequest, call.request())
        status = await self._status()
        statuses = {name: HealthCheckResponse(status=status) for name in self._names}
        call.finish(HealthListResponse(statuses=statuses).to_binary())

    async def _watch(self, call: ServerCall) -> None:
        """Sends the current status of a service, then every change."""
        request = parse(HealthCheckRequest, call.request())
        sent: Status | None = None
        while sent is None or not self._stopping.is_set():
            status = await self._status() if request.service in self._names else Status.SERVICE_UNKNOWN
            if status is not sent:
                await call.write(_response(status))
                sent = status
            await wait(self._stopping, WATCH_EVERY_S)
        if sent is Status.SERVING:
            await call.write(_response(Status.NOT_SERVING))
        call.finish()

    async def _status(self) -> Status:
        return Status.NOT_SERVING if await self._readiness.problems() else Status.SERVING


def _response(status: Status) -> bytes:
    return HealthCheckResponse(status=status).to_binary()
