"""An HTTP request as the later stages see it, read within limits."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from edge.errors import HttpError

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

    @classmethod
    def of(cls, scope: Scope) -> "Request":
        """Reads an ASGI scope."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            headers[name] = headers[name] + b", " + value if name in headers else value
        client = scope["client"]
        path = scope["raw_path"].decode("latin-1")
        return cls(scope["method"], path, scope["query_string"], headers, client[0] if client else "")

    def media_type(self) -> str:
        """The media type of the body in lower case, without parameters; empty if none is named."""
        return self.headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")


async def read_body(request: Request, receive: Receive, limits: BodyLimits) -> bytes:
    """The whole body, decompressed. Raises HttpError: 400 if it is damaged or its sender leaves, 408 if it takes too
    long, 413 if it is too large, 415 for an encoding that is not known.
    """
    headers = request.headers
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        return b""
    if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        # RFC 9112, section 6.1: what a coding hides from us may be another request to those behind us.
        raise HttpError(501, "The only transfer coding taken is chunked.", "TRANSFER_CODING_NOT_SUPPORTED")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limits.size_bytes_max:
        raise _too_large(limits)
    try:
        async with asyncio.timeout(limits.timeout_s):
            body = await _receive_all(receive, limits)
    except TimeoutError as error:
        text = f"The body did not arrive within {limits.timeout_s:g} s."
        raise HttpError(408, text, "BODY_TIMEOUT", [(b"connection", b"close")]) from error
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    return body if encoding == b"identity" else _decompress(body, encoding, limits)


async def _receive_all(receive: Receive, limits: BodyLimits) -> bytes:
    message = await receive()
    body: bytes = message.get("body", b"")
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


def _decompress(body: bytes, encoding: bytes, limits: BodyLimits) -> bytes:
    if encoding not in (b"gzip", b"x-gzip"):
        text = "The body's Content-Encoding is not supported; send it as it is, or with gzip."
        raise HttpError(415, text, "ENCODING_NOT_SUPPORTED", [(b"accept-encoding", b"gzip")])
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = decompressor.decompress(body, limits.size_bytes_max + 1)
    except zlib.error as error:
        raise HttpError(400, "The body is not in the gzip format.", "BODY_MALFORMED") from error
    if len(plain) > limits.size_bytes_max:
        raise _too_large(limits)
    if not decompressor.eof or decompressor.unused_data:
        raise HttpError(400, "The body is not one complete gzip member.", "BODY_MALFORMED")
    return plain


def _too_large(limits: BodyLimits) -> HttpError:
    # The connection stays open and throws the rest away: who is still sending would not see the reply otherwise.
    text = f"The body is larger than {limits.size_bytes_max} bytes."
    metadata = {"limit_bytes": str(limits.size_bytes_max)}
    return HttpError(413, text, "BODY_TOO_LARGE", metadata=metadata)


def accepts(accept: bytes, media_type: str) -> bool:
    """Whether an Accept header (RFC 9110, section 12.5.1) admits a media type: the most specific range decides, and
    q=0 refuses.
    """
    kind = media_type.partition("/")[0]
    best, quality = -1, 0.0
    for item in accept.decode("latin-1").lower().split(","):
        media_range, *parameters = (part.strip() for part in item.split(";"))
        rank = {"*/*": 0, f"{kind}/*": 1, media_type: 2}.get(media_range, -1)
        if rank > best:
            best, quality = rank, _quality(parameters)
    return quality > 0


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
