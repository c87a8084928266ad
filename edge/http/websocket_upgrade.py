"""The handover of an HTTP/1.1 connection to the WebSocket protocol."""

from typing import Any, Final
from urllib.parse import unquote

import httptools

from edge.http.websocket_handshake import SOCKET_KEY

_ANY_KEY: Final = b"AAAAAAAAAAAAAAAAAAAAAA=="


def asks_for_websocket(method: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> bool:
    """Returns whether a request with Connection: upgrade asks for a WebSocket, valid or not. One with a body, or
    without any header of the handshake, is served as plain HTTP (RFC 9110, section 7.8).
    """
    names = {name for name, _ in headers}
    upgrades = [each.strip() for name, value in headers if name == b"upgrade" for each in value.split(b",")]
    return (
        b"websocket" in map(bytes.lower, upgrades)
        and method == b"GET"
        and version == "1.1"
        and any(name.startswith(b"sec-websocket-") for name in names)
        and names.isdisjoint((b"content-length", b"transfer-encoding"))
    )


def handshake_scope(url: bytes, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    """Returns the URL and the headers of a handshake for the ASGI scope."""
    parsed = httptools.parse_url(url)
    path = parsed.path.decode("ascii")
    return {"path": unquote(path), "raw_path": parsed.path, "query_string": parsed.query or b"", "headers": headers}


def acceptable_handshake(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Returns the headers of a handshake that the library always accepts, because the application reports the errors of
    the client's handshake in the format of all errors.
    """
    keys = [value for name, value in headers if name == b"sec-websocket-key"]
    key = keys[0] if keys and SOCKET_KEY.fullmatch(keys[0]) else _ANY_KEY
    return [
        *((b"host", b"-"), (b"upgrade", b"websocket"), (b"connection", b"upgrade")),
        *((b"sec-websocket-version", b"13"), (b"sec-websocket-key", key)),
    ]
