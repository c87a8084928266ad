"""Who may open a WebSocket: a browser's page of another origin only if that is allowed, and any client with a token.

A browser's script can't set headers. It gives its token as a subprotocol, `bearer.<token>`, beside the one that it
speaks, because a server has to choose one: `new WebSocket(url, ["protojson", "bearer." + token])`.
"""

from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from edge.cors import Cors
from edge.request import Request
from mesh.errors import PermissionDenied

SUBPROTOCOL: Final = "protojson"

_TOKEN_PREFIX: Final = "bearer."  # what comes before a token


def check_origin(request: Request, cors: Cors) -> None:
    """Raises PermissionDenied for a page of another origin that is not allowed. Browsers open a WebSocket for any page,
    and name its origin (RFC 6455, section 10.2).
    """
    origin = request.headers.get(b"origin")
    if origin is None or cors.allows(origin):
        return
    if urlsplit(origin).netloc.lower() != request.headers.get(b"host", b"").lower():
        raise PermissionDenied("Pages of this origin may not open streams here.", reason="ORIGIN_NOT_ALLOWED")


def authorized(request: Request, subprotocols: list[str]) -> Request:
    """The request with the token that came as a subprotocol in its header. One in the header wins."""
    token = next((each.removeprefix(_TOKEN_PREFIX) for each in subprotocols if each.startswith(_TOKEN_PREFIX)), "")
    if not token or b"authorization" in request.headers:
        return request
    return replace(request, headers={**request.headers, b"authorization": f"Bearer {token}".encode("latin-1")})


def subprotocol(offered: list[str]) -> str | None:
    """The subprotocol that is spoken, None if the client does not name it. What holds a token is never sent back."""
    return SUBPROTOCOL if SUBPROTOCOL in offered else None
