"""Replies of unknown length to clients of HTTP/1.0.

They know no chunks: the end of the connection is the end of the body (RFC 9112, sections 6.1 and 6.3). uvicorn sends
chunks to every client.
"""

import sys
from collections.abc import MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from edge.http.request import Receive, Scope, Send


class CloseDelimited:
    """An application of ASGI for the one request of uvicorn's `cycle`, whose connection ends with the reply."""

    def __init__(self, app: Any, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        self._has_length = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_without_chunks(message: MutableMapping[str, Any]) -> None:
            self._set_length(message)
            await send(message)

        await self._app(scope, receive, send_without_chunks)

    def _set_length(self, message: MutableMapping[str, Any]) -> None:
        """Has uvicorn expect a body of any length until its last piece."""
        if message["type"] == "http.response.start":
            self._has_length = any(name == b"content-length" for name, _ in message["headers"])
            if not self._has_length:
                self._cycle.chunked_encoding, self._cycle.expected_content_length = False, sys.maxsize
        elif not self._has_length and not message.get("more_body", False):
            self._cycle.expected_content_length = len(message["body"])
