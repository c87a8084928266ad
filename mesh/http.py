"""An HTTP server as a part of a process: uvicorn in the process's own event loop, without its own signal handling."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Self

import uvicorn

from mesh.errors import MeshError


class PortInUse(MeshError):
    """The port to listen on belongs to another process."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # The process drains its parts in order by itself.


class HttpServer:
    """Serves an ASGI app while it is entered. `port` is the one bound, also where 0 was asked for."""

    def __init__(self, app: Any, host: str, port: int, **options: Any) -> None:
        """`options` are uvicorn.Config's."""
        self._socket = listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self._server = _Server(uvicorn.Config(app, log_config=None, access_log=False, server_header=False, **options))
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
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


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket. Raises PortInUse with a sentence that names the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise PortInUse(
            f"Can't listen on {host}:{port}: {error.strerror}. Choose another port, or stop the process that has it."
        ) from error
    bound.listen(2048)
    return bound
