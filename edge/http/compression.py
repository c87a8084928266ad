"""The bodies of replies in the content coding that the client prefers: zstd (RFC 8878), br (RFC 7932), gzip."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncGenerator
from typing import Final, Protocol

import brotli
import zstandard

from edge.http.entity_tags import coded
from edge.http.negotiation import preferred_coding
from edge.http.reply import Reply
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


class _Encoder(Protocol):
    """One body's coding."""

    def encode(self, piece: bytes) -> bytes:
        """A piece of the body in a form that can be read without the next."""

    def end(self) -> bytes:
        """What ends the body."""


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


_ENCODERS: Final[dict[str, type[_Encoder]]] = {"zstd": _Zstd, "br": _Brotli, "gzip": _Gzip}
"""From the cheapest for its effect to the dearest: the first decides where the client does not."""


def negotiate(reply: Reply, request: Request) -> str:
    """The content coding that the client wants the reply in, empty for none; none where the content is of no kind or
    size that gains. Gives the reply the Vary and the ETag that go with it.
    """
    if not _is_compressible(reply) or reply.status == _PART:
        return ""
    if isinstance(reply.body, bytes) and len(reply.body) < SIZE_BYTES_MIN:
        return ""
    reply.headers.append((b"vary", b"accept-encoding"))
    coding = preferred_coding(request.headers.get(b"accept-encoding", b""), tuple(_ENCODERS))
    if coding:
        reply.headers = [(name, coded(value, coding) if name == b"etag" else value) for name, value in reply.headers]
    return coding


async def encode(reply: Reply, coding: str) -> None:
    """Gives the reply a content coding."""
    reply.headers.append((b"content-encoding", coding.encode()))
    if not isinstance(reply.body, bytes):
        reply.body = _encode_pieces(reply.body, _ENCODERS[coding]())
    else:
        reply.body = await compressed(reply.body, coding)


async def compressed(content: bytes, coding: str) -> bytes:
    """A content by itself in a coding."""
    encoder = _ENCODERS[coding]()
    if len(content) < THREAD_BYTES_MIN:
        return _encode_whole(content, encoder)
    return await asyncio.to_thread(_encode_whole, content, encoder)


def _is_compressible(reply: Reply) -> bool:
    for name, value in reply.headers:
        if name == b"content-type":
            media_type = value.partition(b";")[0].strip().lower()
            # Text in pieces is events, whose thousands of compressors would need more memory than all else, or a file.
            is_text = media_type.startswith(b"text/") and isinstance(reply.body, bytes)
            return media_type in _COMPRESSIBLE or is_text
    return False


def _encode_whole(body: bytes, encoder: _Encoder) -> bytes:
    return encoder.encode(body) + encoder.end()


async def _encode_pieces(pieces: AsyncGenerator[bytes, None], encoder: _Encoder) -> AsyncGenerator[bytes, None]:
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            yield encoder.encode(piece)
    yield encoder.end()
