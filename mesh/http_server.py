"""An HTTP server as a component of a process: uvicorn in the process's event loop, without its signal handling."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Self

import uvicorn

from mesh.listening import listen, refuse


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # The process handles signals, and drains its components in order.

    async def on_tick(self, counter: int) -> bool:
        """Changes the date in the list of headers that all requests refer to. uvicorn makes a new list, so that a reply
        would have the date of its request; but it has its own (RFC 9110, section 6.6.1).
        """
        headers = self.server_state.default_headers
        ends = await super().on_tick(counter)
        headers[:] = self.server_state.default_headers
        self.server_state.default_headers = headers
        return ends

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends the server. The clock ticks until the calls in progress are answered."""
        for each in sockets or []:
            refuse(each)
        ticking = asyncio.create_task(self._tick(), name="http date")
        try:
            await super().shutdown(sockets)
        finally:
            ticking.cancel()

    async def _tick(self) -> None:
        while True:
            await self.on_tick(0)
            await asyncio.sleep(1)


class HttpServer:
    """An HTTP server for an ASGI app, which runs while its context lasts. `port` is that of the socket."""

    def __init__(self, app: Any, bound: socket.socket, **options: Any) -> None:
        """`options` are those of uvicorn.Config."""
        self._socket = bound
        self.port: int = bound.getsockname()[1]
        self._server = _Server(uvicorn.Config(app, log_config=None, access_log=False, server_header=False, **options))
        self._task: asyncio.Task[None] | None = None

    @property
    def connections(self) -> set[Any]:
        """Returns the protocol objects of the open connections."""
        return self._server.server_state.connections

    async def __aenter__(self) -> Self:
        """Starts to listen. Raises PortInUse."""
        listen(self._socket)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http")
        try:
            while not (self._server.started or self._task.done()):
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            await self.__aexit__()
            raise
        if self._task.done():
            await self._task
            raise RuntimeError("The HTTP server ended while it started.")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        if self._task is not None:
            await self._task
