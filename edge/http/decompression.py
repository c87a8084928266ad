"""Decompression of request bodies (RFC 9110, section 8.4.1): gzip, br and zstd."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import brotli
import zstandard

from edge.http import worker_thread
from edge.http.errors import HttpError
from edge.http.request import Request
from edge.http.zstd_frames import is_whole

IDENTITY: Final = "identity"
"""The name of no coding."""

PIECE_BYTES_MAX: Final = 262_144
"""The size of the pieces that a decoder yields; brotli's library exceeds it by less than the same again."""

_GZIP_FORMAT: Final = zlib.MAX_WBITS | 16
_GZIP_STEP_BYTES: Final = 32_768  # what remains of a step is copied at the end of each member, which may have 20 bytes
_ZSTD_WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024  # what RFC 8878, section 3.1.1.1.2, recommends decoders to support


class CorruptBody(ValueError):
    """A body that is not valid in its content coding. The message continues "The body "."""


class Decoder(Protocol):
    """A decoder of one body."""

    def decode(self, piece: bytes) -> Iterator[bytes]:
        """Yields the decoded content of a piece in pieces of about PIECE_BYTES_MAX at most, so that a decompression
        bomb can be stopped. Raises CorruptBody.
        """

    def is_complete(self) -> bool:
        """Returns whether the body is complete."""


class _Gzip:
    """A decoder of one or more members: RFC 1952, section 2.2."""

    def __init__(self) -> None:
        self._decoder = zlib.decompressobj(_GZIP_FORMAT)

    def decode(self, piece: bytes) -> Iterator[bytes]:
        try:
            for start in range(0, len(piece), _GZIP_STEP_BYTES):
                yield from self._decode(piece[start : start + _GZIP_STEP_BYTES])
        except zlib.error as error:
            raise CorruptBody("is not in the gzip format") from error

    def is_complete(self) -> bool:
        return self._decoder.eof

    def _decode(self, step: bytes) -> Iterator[bytes]:
        while step:
            if self._decoder.eof:
                self._decoder = zlib.decompressobj(_GZIP_FORMAT)
            yield self._decoder.decompress(step, PIECE_BYTES_MAX)
            step = self._decoder.unused_data or self._decoder.unconsumed_tail


class _Brotli:
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()

    def decode(self, piece: bytes) -> Iterator[bytes]:
        try:
            plain = self._decoder.process(piece, output_buffer_limit=PIECE_BYTES_MAX)
            # can_accept_more_data() is about the input: output may remain when all input has been consumed.
            while plain or not self._decoder.can_accept_more_data():
                yield plain
                plain = self._decoder.process(b"", output_buffer_limit=PIECE_BYTES_MAX)
        except brotli.error as error:
            raise CorruptBody("is not in the br format") from error

    def is_complete(self) -> bool:
        return bool(self._decoder.is_finished())


STREAM_DECODERS: Final[dict[str, type[Decoder]]] = {"gzip": _Gzip, "br": _Brotli}
"""The codings of bodies that are decoded as they arrive. The zstd library can't limit the output of a decoder."""

CODINGS: Final = (*STREAM_DECODERS, "zstd")
"""The codings of bodies that are decoded as a whole."""


def content_coding(request: Request) -> str:
    """Returns the content coding of the body, without the "x-" of old names (RFC 9110, section 8.4.1.3)."""
    coding = request.headers.get(b"content-encoding", IDENTITY.encode())
    return coding.strip().lower().decode("latin-1").removeprefix("x-")


def unsupported_coding(codings: Iterable[str]) -> HttpError:
    """Creates the error of a body in a coding that is not one of these."""
    accepted = ", ".join(codings)
    text = f"The body's Content-Encoding is not supported. Send it uncompressed, or with one of {accepted}."
    return HttpError(415, text, "ENCODING_NOT_SUPPORTED", [(b"accept-encoding", accepted.encode())])


async def decompress(body: bytes, coding: str, size_bytes_max: int) -> bytes:
    """Decompresses a body with one of CODINGS, in the worker thread if it is large before or after that. Stops after
    size_bytes_max + 1 bytes if it is larger. Raises CorruptBody.
    """
    if len(body) <= worker_thread.INLINE_BYTES_MAX:
        plain = _decompress(body, coding, min(size_bytes_max, worker_thread.INLINE_BYTES_MAX))
        if len(plain) <= worker_thread.INLINE_BYTES_MAX:
            return plain
    # The size is unknown before the end. Starting again costs less than the change of threads.
    return await worker_thread.run_in_worker(_decompress, body, coding, size_bytes_max)


def _decompress(body: bytes, coding: str, size_bytes_max: int) -> bytes:
    if coding == "zstd":
        return _decompress_zstd(body, size_bytes_max + 1)
    decoder = STREAM_DECODERS[coding]()
    plain = bytearray()
    for piece in decoder.decode(body):
        plain += piece
        if len(plain) > size_bytes_max:
            return bytes(plain[: size_bytes_max + 1])
    if not decoder.is_complete():
        raise CorruptBody(f"is not one complete {coding} stream")
    return bytes(plain)


def _decompress_zstd(body: bytes, enough_bytes: int) -> bytes:
    """Decompresses one or more frames: RFC 8878, section 3."""
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    try:
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            plain: bytes = reader.read(enough_bytes)
    except zstandard.ZstdError as error:
        raise CorruptBody("is not in the zstd format") from error
    if len(plain) < enough_bytes and not is_whole(body):  # the reader accepts a truncated frame
        raise CorruptBody("is not one complete zstd stream")
    return plain
