"""An HTTP request as the later stages see it, read within limits."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final

from edge.connection import Connection
from edge.decompression import CODINGS, Damaged, decode
from edge.errors import HttpError
from edge.held_bytes import Holding, unlimited

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body may be, also after decompression, and how long its sender may take."""

    size_bytes_max: int
    timeout_s: float


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


async def read_body(request: Request, receive: Receive, limits: BodyLimits) -> bytes:
    """The whole body, decompressed. Raises HttpError: 400 if it is damaged or its sender leaves, 408 if it takes too
    long, 413 if it is too large, 415 for an encoding that is not known. Raises as HeldBytes.change().
    """
    headers = request.headers
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        return b""
    check_transfer_coding(request)
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limits.size_bytes_max:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.timeout_s):
            body = await _receive_all(receive, limits, request.held)
    except TimeoutError as error:
        text = f"The body did not arrive within {limits.timeout_s:g} s."
        raise HttpError(408, text, "BODY_TIMEOUT", [(b"connection", b"close")]) from error
    coding = headers.get(b"content-encoding", b"identity").strip().lower().decode("latin-1").removeprefix("x-")
    if coding == "identity":
        return body
    plain = _decompress(body, coding, limits)
    request.held.set(len(plain))
    return plain


def check_transfer_coding(request: Request) -> None:
    """Raises HttpError 501 for a body in another transfer coding than chunked."""
    if request.headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        # RFC 9112, section 6.1: what a coding hides from us may be another request to those behind us.
        raise HttpError(501, "The only transfer coding taken is chunked.", "TRANSFER_CODING_NOT_SUPPORTED")


async def _receive_all(receive: Receive, limits: BodyLimits, held: Holding) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
    held.add(len(body))
    if not message.get("more_body") and message["type"] == "http.request" and len(body) <= limits.size_bytes_max:
        return body
    pieces, size_bytes = [body], len(body)
    while True:
        if message["type"] == "http.disconnect":
            raise HttpError(400, "The body ended before it was complete.", "BODY_INCOMPLETE")
        if size_bytes > limits.size_bytes_max:
            raise _too_large(limits)
        if not message.get("more_body"):
            return b"".join(pieces)
        message = await receive()
        pieces.append(message.get("body", b""))
        size_bytes += len(pieces[-1])
        held.add(len(pieces[-1]))


def _decompress(body: bytes, coding: str, limits: BodyLimits) -> bytes:
    if coding not in CODINGS:
        text = f"The body's Content-Encoding is not supported; send it as it is, or with one of {', '.join(CODINGS)}."
        raise HttpError(415, text, "ENCODING_NOT_SUPPORTED", [(b"accept-encoding", ", ".join(CODINGS).encode())])
    try:
        plain = decode(body, coding, limits.size_bytes_max)
    except Damaged as error:
        raise HttpError(400, f"The body {error}.", "BODY_MALFORMED") from error
    if len(plain) > limits.size_bytes_max:
        raise _too_large(limits)
    return plain


def _too_large(limits: BodyLimits) -> HttpError:
    # The connection stays open and throws the rest away: who is still sending would not see the reply otherwise.
    text = f"The body is larger than {limits.size_bytes_max} bytes."
    metadata = {"limit_bytes": str(limits.size_bytes_max)}
    return HttpError(413, text, "BODY_TOO_LARGE", metadata=metadata)
