"""Decompression of request bodies, piece by piece and as a whole."""

import asyncio
import base64
import gzip
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import brotli
import pytest
import zstandard

from edge.http.decompression import CODINGS, PIECE_BYTES_MAX, STREAM_DECODERS, CorruptBody, decompress
from edge.http.worker_thread import INLINE_BYTES_MAX
from tests.edge.served import Client

COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "br": partial(brotli.compress, quality=1),
    "zstd": zstandard.compress,
}
SIZES: Final = (0, 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, PIECE_BYTES_MAX, 2 * PIECE_BYTES_MAX, 1_048_576)
ECHO: Final = "/v1/echo"


def contents(size_bytes: int) -> tuple[bytes, bytes]:
    """Returns a content that compresses well, and one that does not."""
    return b"0" * size_bytes, os.urandom(size_bytes)


@pytest.mark.parametrize("size_bytes", SIZES)
@pytest.mark.parametrize("coding", CODINGS)
async def test_a_body_is_decompressed_up_to_the_limit(coding: str, size_bytes: int) -> None:
    """A body of exactly the limit is complete, and a larger one is cut after the limit."""
    for content in contents(size_bytes):
        compressed = COMPRESSORS[coding](content)
        assert await decompress(compressed, coding, size_bytes) == content
        if content:
            assert await decompress(compressed, coding, size_bytes - 1) == content


@pytest.mark.parametrize("size_bytes", SIZES)
@pytest.mark.parametrize("coding", STREAM_DECODERS)
def test_a_body_is_decoded_as_it_arrives(coding: str, size_bytes: int) -> None:
    """The decoder yields all content of a piece before the next, in pieces of limited size."""
    for content in contents(size_bytes):
        compressed = COMPRESSORS[coding](content)
        for count in (1, 7):
            decoder, step = STREAM_DECODERS[coding](), len(compressed) // count + 1
            pieces = [compressed[start : start + step] for start in range(0, len(compressed), step)]
            decoded = [plain for piece in pieces for plain in decoder.decode(piece)]
            assert b"".join(decoded) == content
            assert decoder.is_complete()
            assert max(map(len, decoded), default=0) < 2 * PIECE_BYTES_MAX


@pytest.mark.parametrize("size_bytes", SIZES)
@pytest.mark.parametrize("coding", CODINGS)
async def test_an_incomplete_or_continued_body_is_corrupt(coding: str, size_bytes: int) -> None:
    """A body whose end is missing is corrupt, and one with more after its end, of any size."""
    compressed = COMPRESSORS[coding](os.urandom(size_bytes))
    for corrupt in (compressed[:-1], compressed + b"x"):
        with pytest.raises(CorruptBody):
            await decompress(corrupt, coding, size_bytes + 1)


@pytest.mark.parametrize("step", [1, 7, 1000, 100_000])
async def test_gzip_may_have_many_members(step: int) -> None:
    """The content is that of all members (RFC 1952, section 2.2), wherever the body is cut; none may be incomplete."""
    parts = [b"", b"a" * 3000, b"", os.urandom(3000), b"b"]
    body = b"".join(map(gzip.compress, parts)) + gzip.compress(b"") * 100
    decoder = STREAM_DECODERS["gzip"]()
    decoded = [plain for at in range(0, len(body), step) for plain in decoder.decode(body[at : at + step])]
    assert (b"".join(decoded), decoder.is_complete()) == (b"".join(parts), True)
    assert await decompress(body, "gzip", 10_000) == b"".join(parts)
    assert await decompress(body, "gzip", 4000) == b"".join(parts)[:4001]
    for corrupt in (body[:-1], body + b"\x1f", body + b"\0"):
        with pytest.raises(CorruptBody):
            await decompress(corrupt, "gzip", 10_000)


SKIPPABLE = b"\x50\x2a\x4d\x18\x05\0\0\0extra"


def zstd_frame(content: bytes, *, known_size: bool = True, **parameters: Any) -> bytes:
    """Returns a frame. A frame of unknown size is made of several blocks, as a client does that sends as it goes."""
    compressor = zstandard.ZstdCompressor(**parameters)
    if known_size:
        return compressor.compress(content)
    stream = compressor.compressobj()
    pieces = [content[at : at + 1000] for at in range(0, len(content), 1000)]
    blocks = [stream.compress(piece) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK) for piece in pieces]
    return b"".join(blocks) + stream.flush()


ZSTD_FRAMES = [
    (zstd_frame(b""), b""),
    (zstd_frame(b"a" * 300), b"a" * 300),
    (SKIPPABLE, b""),
    (zstd_frame(b"b" * 70_000, write_checksum=True), b"b" * 70_000),
    (zstd_frame(bytes(range(256)) * 20, known_size=False, write_checksum=True), bytes(range(256)) * 20),
    (zstd_frame(b"c" * 3000, write_content_size=False, known_size=False), b"c" * 3000),
    (SKIPPABLE, b""),
]


async def test_zstd_may_have_many_frames() -> None:
    """The content is that of all frames (RFC 8878, section 3); none may be incomplete, and all share one limit."""
    body, content = (b"".join(parts) for parts in zip(*ZSTD_FRAMES, strict=True))
    assert await decompress(body, "zstd", 100_000) == content
    assert await decompress(body, "zstd", 71_000) == content[:71_001]
    ends = {sum(len(frame) for frame, _ in ZSTD_FRAMES[:count]) for count in range(1, len(ZSTD_FRAMES) + 1)}
    for end in range(len(body) + 1):
        if end in ends:
            assert content.startswith(await decompress(body[:end], "zstd", 100_000))
        else:
            with pytest.raises(CorruptBody):
                await decompress(body[:end], "zstd", 100_000)
    for corrupt in (body + b"\0", body + b"x" * 20):
        with pytest.raises(CorruptBody):
            await decompress(corrupt, "zstd", 100_000)


async def test_zstd_blocks_are_limited() -> None:
    """Blocks and frames without content cost time, and no output limits their number."""
    head, empty_block = zstd_frame(b"", write_content_size=False, known_size=False)[:-3], b"\0\0\0"
    for flood in (head + empty_block * 100_001 + b"\x01\0\0", zstd_frame(b"") * 100_001):
        with pytest.raises(CorruptBody):
            await decompress(flood, "zstd", 10)
    assert await decompress(head + empty_block * 1000 + b"\x01\0\0", "zstd", 10) == b""


@pytest.mark.parametrize("content", contents(200_000), ids=["small before", "large before"])
async def test_others_are_answered_while_a_body_is_decompressed(
    client: Client, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    """A large body is decompressed in another thread, also if it is large only afterwards."""
    answered = threading.Event()
    waited: list[bool] = []
    text = b'{"text":"' + base64.b64encode(content) + b'"}'

    class Slow:
        def __init__(self) -> None:
            self._decoder = brotli_decoder()

        def decode(self, piece: bytes) -> Iterator[bytes]:
            if threading.current_thread() is not threading.main_thread():
                waited.append(answered.wait(30))
            return self._decoder.decode(piece)

        def is_complete(self) -> bool:
            return self._decoder.is_complete()

    brotli_decoder = STREAM_DECODERS["br"]
    monkeypatch.setitem(STREAM_DECODERS, "br", Slow)
    headers = {"content-type": "application/json", "content-encoding": "br"}
    sent = asyncio.create_task(client.post(ECHO, content=brotli.compress(text, quality=1), headers=headers))
    assert (await client.post(ECHO, json={"i32": 1})).json() == {"i32": 1}
    answered.set()
    assert (await sent).json()["text"].encode() == text[9:-2]
    assert waited == [True]
