"""Requests without their bodies."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from edge.http.access_record import AccessRecord
from edge.http.client_key import ADDRESS_LENGTH_MAX
from edge.http.connection import Connection
from edge.http.held_bytes import HeldByteCounter
from edge.http.whole_reply import EXTENSION, SendWhole

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Request:
    """An HTTP request, or the handshake of a WebSocket.

    `path` is percent-encoded, as received. Header names are in lower case, and the values of a repeated header are
    joined by commas (RFC 9110, section 5.3). `client` is the address of the client, `receive` returns the messages
    after the head, and `held` counts the bytes that the request holds in memory. `send_whole` is None if the server
    does not have this extension of ASGI.
    """

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    client: str
    receive: Receive
    record: AccessRecord
    connection: Connection
    held: HeldByteCounter
    send_whole: SendWhole | None

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> "Request":
        """Creates a request from an ASGI scope, and starts its access record."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            headers[name] = headers[name] + b", " + value if name in headers else value
        client = scope["client"]
        path = scope["raw_path"].decode("latin-1")
        is_websocket = scope["type"] == "websocket"
        method = "GET" if is_websocket else scope["method"]  # RFC 6455, section 4.1: the handshake is a GET
        connection = scope["state"].get(Connection.KEY) or Connection()
        address = client[0][:ADDRESS_LENGTH_MAX] if client else ""
        record = AccessRecord.begin("WEBSOCKET" if is_websocket else method, headers)
        held = connection.held.of(address)
        send_whole = scope.get("extensions", {}).get(EXTENSION, {}).get("send")
        return cls(method, path, scope["query_string"], headers, address, receive, record, connection, held, send_whole)

    def media_type(self) -> str:
        """Returns the media type of the body in lower case, without parameters; empty if none is named."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")

    def auth_scheme(self) -> bytes:
        """Returns the scheme of the Authorization header (RFC 9110, section 11.4); empty without one."""
        return self.headers.get(b"authorization", b"").partition(b" ")[0]
