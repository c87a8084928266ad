"""A server for gRPC: its socket, its connections, and the tasks of its calls."""

import asyncio
import random
import socket
import time
from collections.abc import Mapping
from typing import Final

import structlog

from mesh.background import CANCEL_AGAIN_S, wait
from mesh.errors import Code
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.connection import ServerConnection
from mesh.http2.server.fault_log import FaultLog
from mesh.http2.server.load import Load
from mesh.listening import BACKLOG, PortInUse, listen
from mesh.rpc.call_error import CallError

CONNECTIONS_MAX: Final = 1_000
"""The most connections that accept calls."""

DRAINING_MAX: Final = 2_000
"""The most others. Each client of a long stream leaves one at every renewal, until that stream ends."""

AGE_JITTER: Final = 0.1

CLEAN_UP_S: Final = 2.0
"""How long a handler may take to end that is cancelled because its server has stopped."""

CHECK_S: Final = 5.0
"""How often calls are looked for whose client does not send or read."""

log = structlog.get_logger()


class Http2Server:
    """A server of methods by their paths."""

    def __init__(self, routes: Mapping[str, Route], *, calls_max: int, connection_age_s: float) -> None:
        """Connections are renewed at an age of `connection_age_s`, plus or minus a tenth."""
        self._routes = routes
        self._connection_age_s = connection_age_s
        self.load = Load(calls_max)
        self.faults = FaultLog()
        self._connections: set[ServerConnection] = set()
        self._draining: set[ServerConnection] = set()
        self._tasks: dict[ServerCall, asyncio.Task[None]] = {}
        """The tasks of handlers, also of those that still clean up after their calls have ended."""
        self._is_idle = asyncio.Event()
        self.is_stopping = False
        self._server: asyncio.Server
        self._check: asyncio.TimerHandle

    async def start(self, bound: socket.socket) -> None:
        """Accepts connections on a bound socket, or closes it and raises PortInUse: another process listens already."""
        try:
            listen(bound)
        except PortInUse:
            bound.close()
            raise
        self._server = await asyncio.get_running_loop().create_server(
            lambda: ServerConnection(self), sock=bound, backlog=BACKLOG
        )
        self._check_later()

    async def stop(self, grace_s: float) -> None:
        """Accepts no more connections, lets the calls in progress end, and cancels those that do not in time."""
        self._server.close()
        self.is_stopping = True
        for connection in tuple(self._connections):
            connection.drain()
        if self._connections:
            self._is_idle.clear()
            await wait(self._is_idle, grace_s)
        await self._cancel_calls()
        for connection in tuple(self._connections):
            connection.close()
        self._check.cancel()

    async def _cancel_calls(self) -> None:
        """Ends the calls in progress, and gives their handlers time to clean up. The process ends without those that
        ignore it.
        """
        for connection in tuple(self._connections):
            connection.abort_calls(Code.UNAVAILABLE, "The server has stopped.")
        running = set(self._tasks.values())
        # The others were cancelled by their clients, and clean up.
        cancelled = {task for call, task in self._tasks.items() if call.task is not None}
        until = time.monotonic() + CLEAN_UP_S
        while running and time.monotonic() < until:
            for task in cancelled & running:
                task.cancel()  # again, because a library may swallow it
            _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
            cancelled = running
        for task in running:
            log.warning("handler ignores that it is cancelled", method=task.get_name())

    # What connections call.

    def connected(self, connection: ServerConnection) -> float:
        """Counts a connection, or ends it if there are too many. Returns the age at which it is to be renewed."""
        self._connections.add(connection)
        if self.is_stopping:
            return 0.0  # it was accepted just before
        accepting = len(self._connections) - len(self._draining)
        if accepting > CONNECTIONS_MAX or len(self._draining) > DRAINING_MAX:
            asyncio.get_running_loop().call_soon(connection.refuse)
        return self._connection_age_s * random.uniform(1 - AGE_JITTER, 1 + AGE_JITTER)  # no secret

    def draining(self, connection: ServerConnection) -> None:
        """Counts that a connection accepts no more calls."""
        self._draining.add(connection)

    def disconnected(self, connection: ServerConnection) -> None:
        """Counts the end of a connection."""
        self._connections.discard(connection)
        self._draining.discard(connection)
        if not self._connections:
            self._is_idle.set()

    def route(self, path: str) -> Route:
        """Returns the method of a path. Raises CallError if there is none."""
        route = self._routes.get(path)
        if route is None:
            raise CallError(Code.UNIMPLEMENTED, "This server has no such method.")
        return route

    def serve(self, call: ServerCall) -> None:
        """Runs the handler of a call in a task of its own."""
        call.task = asyncio.get_running_loop().create_task(self._serve(call), name=call.head.path)

    async def _serve(self, call: ServerCall) -> None:
        if call.task is None or call.is_closed:
            return  # the server has stopped, and the call was answered before its handler began
        self._tasks[call] = call.task  # not before: of a task that is cancelled before it begins, no `finally` runs
        try:
            await call.route.serve(call)
        except CallError as error:
            call.abort(error.code, error.text)
        except Exception:
            log.exception("handler failed", method=call.head.path)
            call.abort(Code.INTERNAL, "Internal error.")
        finally:
            del self._tasks[call]
            call.abort(Code.CANCELLED, "The call was cancelled.")  # if its handler did not end it

    def _check_later(self) -> None:
        self._check = asyncio.get_running_loop().call_later(CHECK_S, self._check_calls)

    def _check_calls(self) -> None:
        now = time.monotonic()
        for connection in tuple(self._connections):
            connection.expire_calls(now)
        self._check_later()
