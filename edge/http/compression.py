"""Compression of response bodies with the coding that the client prefers: zstd (RFC 8878), br (RFC 7932), gzip."""

import asyncio
import zlib
from typing import Final, Protocol

import brotli
import zstandard

from edge.http.entity_tags import tag_in_coding
from edge.http.headers import Headers
from edge.http.negotiation import preferred_coding
from edge.http.request import Request

SIZE_BYTES_MIN: Final = 1024
"""Smaller bodies are not compressed, because they fit into one packet anyway."""

THREAD_BYTES_MIN: Final = 65_536
"""Bodies of this size or more are compressed in a thread."""

_COMPRESSIBLE: Final = frozenset(
    {b"application/json", b"application/problem+json", b"application/proto", b"application/x-ndjson"}
)


_PART: Final = 206
"""A partial response is not compressed, because its Content-Range counts the uncompressed bytes."""


class Encoder(Protocol):
    """An encoder of one body in a content coding."""

    def encode(self, piece: bytes) -> bytes:
        """Encodes a piece of the body and flushes it, so that the client can decode it without the next piece."""

    def end(self) -> bytes:
        """Returns the last bytes of the encoded body."""


class _Gzip:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj(level=5, wbits=zlib.MAX_WBITS | 16)

    def encode(self, piece: bytes) -> bytes:
        return self._compressor.compress(piece) + self._compressor.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._compressor.flush()


class _Brotli:
    def __init__(self) -> None:
        self._compressor = brotli.Compressor(quality=4)

    def encode(self, piece: bytes) -> bytes:
        encoded: bytes = self._compressor.process(piece) + self._compressor.flush()
        return encoded

    def end(self) -> bytes:
        ended: bytes = self._compressor.finish()
        return ended


class _Zstd:
    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor().compressobj()

    def encode(self, piece: bytes) -> bytes:
        return self._compressor.compress(piece) + self._compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._compressor.flush()


_ENCODERS: Final[dict[str, type[Encoder]]] = {"zstd": _Zstd, "br": _Brotli, "gzip": _Gzip}
"""Encoders by coding, the most efficient first, which is used if the client has no preference."""


def negotiate(status: int, headers: Headers, request: Request, size_bytes: int | None) -> str:
    """Returns the content coding for a reply, empty for none or if its type or size gains nothing from compression.
    `size_bytes` is None for a streamed body. Adds Vary to the headers, and the coding to the ETag.
    """
    if status == _PART or (size_bytes is not None and size_bytes < SIZE_BYTES_MIN):
        return ""
    if not _is_compressible(headers, in_pieces=size_bytes is None):
        return ""
    headers.append((b"vary", b"accept-encoding"))
    coding = preferred_coding(request.headers.get(b"accept-encoding", b""), tuple(_ENCODERS))
    if coding:
        headers[:] = [(name, tag_in_coding(value, coding) if name == b"etag" else value) for name, value in headers]
    return coding


def new_encoder(coding: str) -> Encoder:
    """Creates an encoder of one body."""
    return _ENCODERS[coding]()


async def compress(content: bytes, coding: str) -> bytes:
    """Compresses a complete body."""
    if len(content) < THREAD_BYTES_MIN:
        return _encode(content, new_encoder(coding))
    return await asyncio.to_thread(_encode, content, new_encoder(coding))


def _is_compressible(headers: Headers, *, in_pieces: bool) -> bool:
    for name, value in headers:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            # Streamed text is a file or events, and thousands of event streams would need too much memory.
            is_text = media_type.startswith(b"text/") and not in_pieces
            return media_type in _COMPRESSIBLE or is_text
    return False


def _encode(body: bytes, encoder: Encoder) -> bytes:
    return encoder.encode(body) + encoder.end()
