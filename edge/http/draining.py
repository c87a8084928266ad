"""The drain of a server: it continues to serve requests that clients and proxies send before they notice the shutdown.

"Connection: close" is hop-by-hop (RFC 9110, section 7.6.1): a proxy keeps its client's connection open, and the next
request on it would fail if the process had ended by then.
"""

import asyncio
import socket
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from edge.http.headers import Headers
from mesh.errors import Unavailable
from mesh.http_server import HttpServer

PROXY_CLOSE: Final = (b"l5d-proxy-connection", b"close")
"""The header that makes Linkerd's proxy close its client's connection after this reply; Linkerd never forwards it."""


class LastHeaders:
    """The headers that the server and the drain add to a connection's last reply. They are read when the reply begins,
    because those of the server change (RFC 9110, section 6.6.1).
    """

    def __init__(self, of_server: Headers, of_drain: Headers) -> None:
        self._of_server = of_server
        self._of_drain = of_drain

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        yield from self._of_server
        yield from self._of_drain

    def __add__(self, own: Headers) -> Headers:
        return [*self, *own]


class Drainable(Protocol):
    """A connection that can drain."""

    def start_drain(self) -> None:
        """Makes the next reply on this connection the last one, and ends its streams."""


class Drain:
    """The drain state that the connections of one server share: first `started`, later `rejects_requests`."""

    def __init__(self, quiet_s: float, limit_s: float, *, in_mesh: bool) -> None:
        """The drain ends when no request has arrived for `quiet_s`, at the latest after `limit_s`. `in_mesh` is true if
        clients connect through Linkerd's proxies.
        """
        self.started = False
        self.rejects_requests = False
        self._quiet_s = quiet_s
        self._limit_s = limit_s
        self._in_mesh = in_mesh
        self._last_request = 0.0

    def record_request(self) -> None:
        """Records the arrival of a request. Raises Unavailable if requests are rejected."""
        self._last_request = time.monotonic()
        if self.rejects_requests:
            raise shutdown_error()

    def headers(self) -> Headers:
        """Returns the headers of a connection's last reply, besides "Connection: close"."""
        return [PROXY_CLOSE] if self._in_mesh else []

    async def run(self, connections: Iterable[Drainable]) -> None:
        """Drains the connections. Returns when the server may close them."""
        self.started = True
        for connection in tuple(connections):
            connection.start_drain()
        self._last_request = time.monotonic()
        end = self._last_request + self._limit_s
        while (until := min(self._last_request + self._quiet_s, end)) > time.monotonic():
            await asyncio.sleep(until - time.monotonic())
        if self._last_request + self._quiet_s > end:
            self.rejects_requests = True
            await asyncio.sleep(self._quiet_s)


class DrainingServer(HttpServer):
    """An HTTP server that drains before it closes its connections."""

    def __init__(self, app: Any, bound: socket.socket, drain: Drain, **options: Any) -> None:
        """`options` are uvicorn.Config's."""
        super().__init__(app, bound, **options)
        self._drain = drain

    async def __aexit__(self, *_: object) -> None:
        await self._drain.run(self.connections)
        await super().__aexit__()


def shutdown_error() -> Unavailable:
    """Returns the error of calls and streams that a shutdown of the server rejects or ends."""
    return Unavailable("The server is shutting down. Try again.", reason="SHUTTING_DOWN", retry_after_s=1)
