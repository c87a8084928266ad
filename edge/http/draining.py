"""How the edge leaves: it goes on answering while requests may come that clients and proxies sent before they knew.

"Connection: close" is hop-by-hop (RFC 9110, section 7.6.1): a proxy keeps its client's connection, and what that client
sends next finds nobody if the process has ended by then.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, Final, Protocol

from edge.http.errors import HttpError
from edge.http.headers import Headers
from mesh.errors import Unavailable
from mesh.http_server import HttpServer

PROXY_CLOSE: Final = (b"l5d-proxy-connection", b"close")
"""Makes Linkerd's proxy close the connection of its client after this reply; no proxy of Linkerd passes it on."""


class Leaver(Protocol):
    """A connection that can be told that the server leaves."""

    def leave(self) -> None:
        """Makes each further reply on this connection the last one, and ends its streams."""


class Drain:
    """The state of one server that its connections share. It `leaves` first, and then `refuses`."""

    def __init__(self, quiet_s: float, limit_s: float, *, in_mesh: bool) -> None:
        """The server leaves when no request has come for `quiet_s`, after `limit_s` at most. `in_mesh` says that
        clients come through Linkerd's proxies.
        """
        self.leaves = False
        self.refuses = False
        self._quiet_s = quiet_s
        self._limit_s = limit_s
        self._in_mesh = in_mesh
        self._last_request = 0.0

    def note_request(self) -> None:
        """A request has come. Raises HttpError 503 once none is taken any more."""
        self._last_request = time.monotonic()
        if self.refuses:
            raise HttpError(503, "The server stops; call again.", "SHUTTING_DOWN", retry_after_s=1)

    def headers(self) -> Headers:
        """The headers of each last reply, beside "Connection: close"."""
        return [PROXY_CLOSE] if self._in_mesh else []

    async def run(self, connections: Iterable[Leaver]) -> None:
        """Returns when the server may close its connections."""
        self.leaves = True
        for connection in tuple(connections):
            connection.leave()
        self._last_request = time.monotonic()
        end = self._last_request + self._limit_s
        while (until := min(self._last_request + self._quiet_s, end)) > time.monotonic():
            await asyncio.sleep(until - time.monotonic())
        if self._last_request + self._quiet_s > end:
            self.refuses = True
            await asyncio.sleep(self._quiet_s)


class DrainingServer(HttpServer):
    """An HTTP server whose protocols know the Drain. Left, it drains before it closes."""

    def __init__(self, app: Any, host: str, port: int, drain: Drain, **options: Any) -> None:
        """`options` are uvicorn.Config's."""
        super().__init__(app, host, port, **options)
        self._drain = drain

    async def __aexit__(self, *_: object) -> None:
        await self._drain.run(self.connections)
        await super().__aexit__()


def shutting_down() -> Unavailable:
    """What ends the streams of a server that stops."""
    return Unavailable("The server stops; call again.", reason="SHUTTING_DOWN", retry_after_s=1)
