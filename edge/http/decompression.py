"""Decompression of request bodies (RFC 9110, section 8.4.1): gzip, br and zstd."""

import zlib
from typing import Final

import brotli
import zstandard

CODINGS: Final = ("gzip", "br", "zstd")

_ZSTD_WINDOW_BYTES_MAX: Final = 8 * 1024 * 1024  # what RFC 8878, section 3.1.1.1.2, recommends decoders to support


class CorruptBody(ValueError):
    """A body that is not valid in its content coding."""


def decompress(body: bytes, coding: str, size_bytes_max: int) -> bytes:
    """Decompresses a body with one of CODINGS. Returns only the first size_bytes_max + 1 bytes if it is larger. Raises
    CorruptBody.
    """
    try:
        match coding:
            case "br":
                return _decode_brotli(body, size_bytes_max + 1)
            case "zstd":
                return _decode_zstd(body, size_bytes_max + 1)
            case _:
                return _decode_gzip(body, size_bytes_max + 1)
    except (zlib.error, brotli.error, zstandard.ZstdError) as error:
        raise CorruptBody(f"is not in the {coding} format") from error


def _decode_gzip(body: bytes, enough_bytes: int) -> bytes:
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    plain = decoder.decompress(body, enough_bytes)
    if len(plain) < enough_bytes and (not decoder.eof or decoder.unused_data):
        raise CorruptBody("is not one complete gzip member")
    return plain


def _decode_brotli(body: bytes, enough_bytes: int) -> bytes:
    decoder = brotli.Decompressor()
    pieces, size_bytes = [decoder.process(body, output_buffer_limit=enough_bytes)], 0
    size_bytes = len(pieces[0])
    while size_bytes < enough_bytes and not decoder.is_finished():
        pieces.append(decoder.process(b"", output_buffer_limit=enough_bytes - size_bytes))
        if not pieces[-1]:
            raise CorruptBody("is not one complete br stream")
        size_bytes += len(pieces[-1])
    return b"".join(pieces)[:enough_bytes]


def _decode_zstd(body: bytes, enough_bytes: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    with decompressor.stream_reader(body) as reader:
        plain: bytes = reader.read(enough_bytes)
    if len(plain) < enough_bytes:  # The reader accepts a truncated frame.
        whole = decompressor.decompressobj()
        whole.decompress(body)
        if not whole.eof or whole.unused_data:
            raise CorruptBody("is not one complete zstd frame")
    return plain
