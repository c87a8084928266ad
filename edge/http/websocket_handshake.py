"""Checks of a WebSocket's opening handshake (RFC 6455, section 4.2).

A page of another origin may open a WebSocket only if its origin is allowed. Scripts in browsers can't set headers, so
they send their token as a subprotocol, `bearer.<token>`, besides the real one, because a server has to choose one:
`new WebSocket(url, ["protojson", "bearer." + token])`.
"""

import re
from dataclasses import replace
from typing import Final

from edge.http.cors import Cors
from edge.http.errors import HttpError
from edge.http.request import Request
from mesh.errors import FieldViolation, PermissionDenied

SUBPROTOCOL: Final = "protojson"

_TOKEN_PREFIX: Final = "bearer."
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION: Final = (b"sec-websocket-version", b"13")


def check_handshake(request: Request) -> None:
    """Raises HttpError for an invalid handshake: 426 for an unsupported version of the protocol (section 4.4), 400 for
    an invalid key.
    """
    version, key = (request.headers.get(name, b"") for name in (b"sec-websocket-version", b"sec-websocket-key"))
    if version != b"13":
        upgrade = [(b"upgrade", b"websocket"), (b"connection", b"upgrade, close")]
        text = "This version of WebSocket is not supported. Send Sec-WebSocket-Version: 13."
        raise HttpError(426, text, "WEBSOCKET_VERSION_NOT_SUPPORTED", [*upgrade, _VERSION])
    if SOCKET_KEY.fullmatch(key) is None:
        raise _malformed("Sec-WebSocket-Key", "must be one key of 16 bytes in base64")


def parse_subprotocols(request: Request) -> list[str]:
    """Returns the subprotocols that the client offers. Raises HttpError 400 if the header is malformed."""
    header = request.headers.get(b"sec-websocket-protocol", b"").decode("latin-1")
    offered = [each for part in header.split(",") if (each := part.strip(" \t"))]
    if not all(map(_TOKEN.fullmatch, offered)):
        raise _malformed("Sec-WebSocket-Protocol", "must be a list of tokens, such as protojson")
    return offered


def check_origin(request: Request, cors: Cors) -> None:
    """Raises PermissionDenied for a page of another origin that is not allowed. Browsers let any page open a WebSocket,
    but send the page's origin (RFC 6455, section 10.2).
    """
    origin = request.headers.get(b"origin")
    if origin is None or cors.allows(origin):
        return
    # RFC 6454, section 6.2: an origin is a scheme, a host and a port, without a path.
    if origin.partition(b"://")[2].lower() != request.headers.get(b"host", b"").lower():
        raise PermissionDenied("Pages of this origin may not open streams here.", reason="ORIGIN_NOT_ALLOWED")


def with_token_header(request: Request, subprotocols: list[str]) -> Request:
    """Returns the request with the token from the subprotocols as its Authorization header, unless it has one."""
    token = next((each.removeprefix(_TOKEN_PREFIX) for each in subprotocols if each.startswith(_TOKEN_PREFIX)), "")
    if not token or b"authorization" in request.headers:
        return request
    return replace(request, headers={**request.headers, b"authorization": f"Bearer {token}".encode("latin-1")})


def choose_subprotocol(offered: list[str]) -> str | None:
    """Returns the subprotocol to accept, None if the client does not offer it. A token is never sent back."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def _malformed(header: str, description: str) -> HttpError:
    violation = FieldViolation(header, description, "MALFORMED_HEADER")
    text = f"The header {header} {description}."
    return HttpError(400, text, "MALFORMED_HEADER", [_VERSION], violations=[violation])


# RFC 6455, section 4.1: 16 bytes in base64.
SOCKET_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{22}==")
