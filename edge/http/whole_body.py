"""Complete request bodies within limits."""

import asyncio
from dataclasses import dataclass

from edge.http.body_too_large import body_too_large
from edge.http.decompression import CODINGS, IDENTITY, CorruptBody, content_coding, decompress, unsupported_coding
from edge.http.errors import HttpError
from edge.http.request import Request


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """The maximum size of a body, before and after decompression, and the time for its arrival."""

    size_bytes_max: int
    timeout_s: float


async def read_body(request: Request, limits: BodyLimits) -> bytes:
    """Returns the complete body, decompressed.

    Raises HttpError: 400 if the body is corrupt or the client disconnects, 408 if it takes too long, 413 if it is too
    large, 415 for an unsupported coding. Raises as HeldBytes.change() if there is no room for it.
    """
    headers = request.headers
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        return b""
    check_transfer_coding(request)
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limits.size_bytes_max:
        raise body_too_large(limits.size_bytes_max)
    try:
        async with asyncio.timeout(limits.timeout_s):
            body = await _receive_all(request, limits)
    except TimeoutError as error:
        text = f"The body did not arrive within {limits.timeout_s:g} s."
        raise HttpError(408, text, "BODY_TIMEOUT", [(b"connection", b"close")]) from error
    coding = content_coding(request)
    if coding != IDENTITY:
        body = await _decompress(body, coding, limits)
        request.held.set(len(body))
    return body


def check_transfer_coding(request: Request) -> None:
    """Raises HttpError 501 for a body in a transfer coding other than chunked."""
    if request.headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        # RFC 9112, section 6.1: an unknown coding allows request smuggling.
        raise HttpError(501, "The only supported transfer coding is chunked.", "TRANSFER_CODING_NOT_SUPPORTED")


async def _receive_all(request: Request, limits: BodyLimits) -> bytes:
    message = await request.receive()
    body: bytes = message.get("body", b"")
    request.held.add(len(body))
    request.record.request_bytes += len(body)
    if not message.get("more_body") and message["type"] == "http.request" and len(body) <= limits.size_bytes_max:
        return body
    whole = bytearray(body)  # a list of small pieces would take twenty times the memory
    while True:
        if message["type"] == "http.disconnect":
            raise HttpError(400, "The body ended before it was complete.", "BODY_INCOMPLETE")
        if len(whole) > limits.size_bytes_max:
            raise body_too_large(limits.size_bytes_max)
        if not message.get("more_body"):
            return bytes(whole)
        message = await request.receive()
        body = message.get("body", b"")
        whole += body
        request.held.add(len(body))
        request.record.request_bytes += len(body)


async def _decompress(body: bytes, coding: str, limits: BodyLimits) -> bytes:
    if coding not in CODINGS:
        raise unsupported_coding(CODINGS)
    try:
        plain = await decompress(body, coding, limits.size_bytes_max)
    except CorruptBody as error:
        raise HttpError(400, f"The body {error}.", "BODY_MALFORMED") from error
    if len(plain) > limits.size_bytes_max:
        raise body_too_large(limits.size_bytes_max)
    return plain
