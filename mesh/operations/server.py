"""The HTTP server of the operations port."""

import asyncio
import socket
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any, Self

import structlog

from mesh.listening import listen
from mesh.operations.pages import Page, page
from mesh.operations.readiness import Readiness

log = structlog.get_logger()
PAGE_TIMEOUT_S = 5.0
POLL_S = 0.2
CONNECTIONS_MAX = 32


class OpsServer:
    """The server of the operations port, which runs while its context lasts. `port` is that of the socket.

    The standard library's server in a thread is enough for a few requests every few seconds; another server would cost
    each process 2 MB. Pages are rendered in the event loop, so that /livez only responds while the loop runs.
    """

    def __init__(self, readiness: Readiness, bound: socket.socket) -> None:
        """Starts to listen. Raises PortInUse."""
        listen(bound)
        bound.setblocking(False)  # a process that shares it may accept the connection first
        self._readiness = readiness
        self._server = _Server(bound, self._page)
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, args=(POLL_S,), name="operations", daemon=True)

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()

    def _page(self, path: str) -> Page | None:
        """Renders a page in the event loop. Raises TimeoutError if the loop is blocked."""
        made = asyncio.run_coroutine_threadsafe(page(path, self._readiness), self._loop)
        try:
            return made.result(PAGE_TIMEOUT_S)
        finally:
            made.cancel()  # or a loop that was blocked would render all pages that were requested meanwhile


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, page_of: Callable[[str], Page | None]) -> None:
        super().__init__(listening.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_address = listening.getsockname()[:2]
        self.page_of = page_of
        self._free = BoundedSemaphore(CONNECTIONS_MAX)

    def verify_request(self, *_: object) -> bool:
        """Returns whether a thread is free for the connection; otherwise it is closed."""
        return self._free.acquire(blocking=False)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serves a connection, then frees its thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_: object) -> None:
        """Logs unexpected errors, but not clients that hung up; the base class would print a traceback for both."""
        if not isinstance(error := sys.exception(), ConnectionError):
            log.warning("a page of the operations port failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    timeout = PAGE_TIMEOUT_S

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server), "made by it"
        try:
            found = self.server.page_of(self.path.partition("?")[0])
        except TimeoutError:
            self.send_error(503)
            return
        if found is None:
            self.send_error(404)
            return
        self.send_response(found.status)
        self.send_header("Content-Type", found.media_type)
        self.send_header("Content-Length", str(len(found.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.body)

    do_HEAD = do_GET  # noqa: N815 # the base class finds methods by their names

    def version_string(self) -> str:
        """Returns the Server header, which must not reveal the version of Python."""
        return "operations"

    def log_message(self, *_: object) -> None:
        """Logs nothing, because probes are frequent."""
