"""Request bodies as streams of pieces within limits, without buffering the whole body."""

import asyncio
from collections.abc import AsyncGenerator, MutableMapping
from typing import Any

from edge.http.body_too_large import body_too_large
from edge.http.decompression import IDENTITY, STREAM_DECODERS, CorruptBody, content_coding, unsupported_coding
from edge.http.errors import HttpError
from edge.http.idle_timer import IdleTimer
from edge.http.request import Request
from edge.http.stream_limits import StreamLimits
from edge.http.whole_body import check_transfer_coding
from mesh.errors import InvalidArgument


async def body_stream(request: Request, limits: StreamLimits, idle_timer: IdleTimer) -> AsyncGenerator[bytes, None]:
    """Yields the body in pieces as they arrive, decompressed.

    Raises HttpError: 400 if the client disconnects, 408 if nothing arrives for too long, 413 if the body is too large,
    415 for an unsupported coding. Raises InvalidArgument if the body is corrupt.
    """
    headers = request.headers
    if b"content-length" not in headers and b"transfer-encoding" not in headers:
        return
    check_transfer_coding(request)
    request.connection.mark_busy()
    size_bytes = 0
    async for piece in _decoded(_received(request, limits, idle_timer), content_coding(request)):
        size_bytes += len(piece)
        if size_bytes > limits.bytes_max:
            raise body_too_large(limits.bytes_max)
        if piece:
            yield piece


async def _received(request: Request, limits: StreamLimits, idle_timer: IdleTimer) -> AsyncGenerator[bytes, None]:
    more = True
    while more:
        message = await _next(request, limits, idle_timer)
        if message["type"] == "http.disconnect":
            raise HttpError(400, "The body ended before it was complete.", "BODY_INCOMPLETE")
        more = message.get("more_body", False)
        request.record.request_bytes += len(message["body"])
        yield message["body"]


async def _decoded(body: AsyncGenerator[bytes, None], coding: str) -> AsyncGenerator[bytes, None]:
    if coding == IDENTITY:
        async for piece in body:
            yield piece
        return
    if coding not in STREAM_DECODERS:
        raise unsupported_coding(STREAM_DECODERS)
    decoder = STREAM_DECODERS[coding]()
    try:
        async for piece in body:
            for decoded in decoder.decode(piece):
                yield decoded
                await asyncio.sleep(0)  # one piece may be a thousand times as large when it is decoded
    except CorruptBody as error:
        raise _corrupt_body() from error
    if not decoder.is_complete():
        raise _corrupt_body()


async def _next(request: Request, limits: StreamLimits, idle_timer: IdleTimer) -> MutableMapping[str, Any]:
    try:
        return await idle_timer.receive(request.receive, limits.idle_s)
    except TimeoutError as error:
        text = f"No data of the body arrived for {limits.idle_s:g} s."
        raise HttpError(408, text, "BODY_TIMEOUT", [(b"connection", b"close")]) from error


def _corrupt_body() -> InvalidArgument:
    return InvalidArgument("The body is incomplete or corrupt in its Content-Encoding.", reason="BODY_MALFORMED")
