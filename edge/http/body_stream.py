"""Request bodies as streams of pieces within limits, without buffering the whole body."""

import zlib
from collections.abc import AsyncGenerator, Iterator, MutableMapping
from typing import Any, Final, Protocol

import brotli

from edge.http.errors import HttpError
from edge.http.idle_timer import IdleTimer
from edge.http.request import Request
from edge.http.stream_limits import StreamLimits
from edge.http.whole_body import check_transfer_coding
from mesh.errors import InvalidArgument

PIECE_BYTES_MAX: Final = 262_144


class _Decoder(Protocol):
    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yields the decoded content of a piece in smaller pieces, so that a decompression bomb can be stopped."""

    def is_complete(self) -> bool:
        """Returns whether the body is complete."""


class _Identity:
    def decode(self, piece: bytes) -> Iterator[bytes]:
        yield piece

    def is_complete(self) -> bool:
        return True


class _Gzip:
    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def decode(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            yield self._decoder.decompress(piece, PIECE_BYTES_MAX)
            if self._decoder.unused_data:
                raise zlib.error("something follows the gzip member")
            piece = self._decoder.unconsumed_tail

    def is_complete(self) -> bool:
        return self._decoder.eof


class _Brotli:
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()

    def decode(self, piece: bytes) -> Iterator[bytes]:
        yield self._decoder.process(piece, output_buffer_limit=PIECE_BYTES_MAX)
        while not self._decoder.can_accept_more_data():
            yield self._decoder.process(b"", output_buffer_limit=PIECE_BYTES_MAX)

    def is_complete(self) -> bool:
        return bool(self._decoder.is_finished())


# The zstd library can't limit the output of a decoder.
_DECODERS: Final[dict[bytes, type[_Decoder]]] = {
    b"identity": _Identity,
    b"gzip": _Gzip,
    b"x-gzip": _Gzip,
    b"br": _Brotli,
}


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
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding not in _DECODERS:
        text = "The Content-Encoding of this stream is not supported. Send it uncompressed, or with gzip or br."
        raise HttpError(415, text, "ENCODING_NOT_SUPPORTED", [(b"accept-encoding", b"gzip, br")])
    decoder = _DECODERS[coding]()
    size_bytes, more = 0, True
    while more:
        message = await _next(request, limits, idle_timer)
        if message["type"] == "http.disconnect":
            raise HttpError(400, "The body ended before it was complete.", "BODY_INCOMPLETE")
        more = message.get("more_body", False)
        request.record.request_bytes += len(message["body"])
        try:
            for piece in decoder.decode(message["body"]):
                size_bytes += len(piece)
                if size_bytes > limits.bytes_max:
                    raise _too_large(limits)
                if piece:
                    yield piece
        except (zlib.error, brotli.error) as error:
            raise _corrupt_body() from error
    if not decoder.is_complete():
        raise _corrupt_body()


async def _next(request: Request, limits: StreamLimits, idle_timer: IdleTimer) -> MutableMapping[str, Any]:
    try:
        return await idle_timer.receive(request.receive, limits.idle_s)
    except TimeoutError as error:
        text = f"No data of the body arrived for {limits.idle_s:g} s."
        raise HttpError(408, text, "BODY_TIMEOUT", [(b"connection", b"close")]) from error


def _too_large(limits: StreamLimits) -> HttpError:
    text = f"The body is larger than {limits.bytes_max} bytes."
    return HttpError(413, text, "BODY_TOO_LARGE", metadata={"limit_bytes": str(limits.bytes_max)})


def _corrupt_body() -> InvalidArgument:
    return InvalidArgument("The body is incomplete or corrupt in its Content-Encoding.", reason="BODY_MALFORMED")
