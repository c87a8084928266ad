"""An HTTP request as the later stages see it, read within limits."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge.http.connection import Connection
from edge.http.held_bytes import Holding, unlimited

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Request:
    """A request less its body. `path` is as it came, percent-encoded; header names are in lower case, and the values of
    a header that came more than once are joined by commas (RFC 9110, section 5.3).
    """

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    client: str
    held: Holding = field(default_factory=unlimited)
    connection: Connection = field(default_factory=Connection)

    @classmethod
    def of(cls, scope: Scope) -> "Request":
        """Reads an ASGI scope."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            headers[name] = headers[name] + b", " + value if name in headers else value
        client = scope["client"]
        path = scope["raw_path"].decode("latin-1")
        method = scope.get("method", "GET")  # a WebSocket's handshake is a GET and does not say so
        connection = scope["state"].get(Connection.KEY) or Connection()
        address = client[0] if client else ""
        held = connection.held.of(address)
        return cls(method, path, scope["query_string"], headers, address, held, connection)

    def media_type(self) -> str:
        """The media type of the body in lower case, without parameters; empty if none is named."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
