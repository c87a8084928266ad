"""The bodies of replies in the content coding that the client prefers: zstd (RFC 8878), br (RFC 7932), gzip."""

import asyncio
import zlib
from typing import Final, Protocol

import brotli
import zstandard

from edge.http.entity_tags import coded
from edge.http.headers import Headers
from edge.http.negotiation import preferred_coding
from edge.http.request import Request

SIZE_BYTES_MIN: Final = 1024
"""Smaller bodies fit into one packet either way."""

THREAD_BYTES_MIN: Final = 65_536
"""Larger bodies are compressed beside the event loop."""

_COMPRESSIBLE: Final = frozenset(
    {b"application/json", b"application/problem+json", b"application/proto", b"application/x-ndjson"}
)


_PART: Final = 206
"""Its Content-Range counts the bytes that the service has."""


class Encoder(Protocol):
    """The content coding of one body."""

    def encode(self, piece: bytes) -> bytes:
        """Returns a piece of the body in a form that can be read without the next."""

    def end(self) -> bytes:
        """Returns what ends the body."""


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
"""From the cheapest for its effect to the dearest: the first decides where the client does not."""


def negotiate(status: int, headers: Headers, request: Request, size_bytes: int | None) -> str:
    """Returns the content coding that the client wants a reply in, empty for none; none where the content is of no kind
    or size that gains. `size_bytes` is None for a body in pieces. Adds Vary to the headers, and marks the ETag.
    """
    if status == _PART or not _is_compressible(headers, in_pieces=size_bytes is None):
        return ""
    if size_bytes is not None and size_bytes < SIZE_BYTES_MIN:
        return ""
    headers.append((b"vary", b"accept-encoding"))
    coding = preferred_coding(request.headers.get(b"accept-encoding", b""), tuple(_ENCODERS))
    if coding:
        headers[:] = [(name, coded(value, coding) if name == b"etag" else value) for name, value in headers]
    return coding


def encoder(coding: str) -> Encoder:
    """Returns an encoder of one body."""
    return _ENCODERS[coding]()


async def compressed(content: bytes, coding: str) -> bytes:
    """Returns a whole content in a coding."""
    if len(content) < THREAD_BYTES_MIN:
        return _encode(content, encoder(coding))
    return await asyncio.to_thread(_encode, content, encoder(coding))


def _is_compressible(headers: Headers, *, in_pieces: bool) -> bool:
    for name, value in headers:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            # Text in pieces is events, whose thousands of compressors would need more memory than all else, or a file.
            is_text = media_type.startswith(b"text/") and not in_pieces
            return media_type in _COMPRESSIBLE or is_text
    return False


def _encode(body: bytes, encoder: Encoder) -> bytes:
    return encoder.encode(body) + encoder.end()
