"""Length-prefixed messages."""

import gzip
import struct
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import Code
from mesh.http2.messages import SMALL_BYTES, SMALL_PIECES_MAX, MessageReader, prefixed
from mesh.rpc.call_error import CallError

ZEROS = zlib.compress(bytes(1001))


def read(reader: MessageReader, wire: bytes) -> list[bytes]:
    """Returns the messages that a piece completes, as a call returns them."""
    return [reader.unpacked(*packed) for packed in reader.feed(wire)]


@given(st.lists(st.binary(max_size=50), max_size=6), st.data())
def test_messages_are_read_however_they_arrive(messages: list[bytes], draw: st.DataObject) -> None:
    """The same messages are read wherever their bytes are split."""
    wire = b"".join(map(prefixed, messages))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader, edges = MessageReader(50), [0, *cuts, len(wire)]
    assert [found for at, until in pairwise(edges) for found in read(reader, wire[at:until])] == messages
    assert not reader.has_part


def test_the_missing_bytes_are_known() -> None:
    """A reader knows how much of a message is missing once its prefix is there."""
    reader = MessageReader(1000)
    reader.feed(b"\0\0\0")
    assert (reader.has_part, reader.missing) == (True, 2)
    reader.feed(b"\x01\0abc")
    assert reader.missing == 256 - 3


@pytest.mark.parametrize(("encoding", "compress"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_compressed_messages(encoding: bytes, compress: type) -> None:
    """A message with the flag is decompressed by the header's coding; one without stays as it is."""
    content = compress(b"text " * 100)
    reader = MessageReader(1000)
    reader.start(encoding)
    wire = struct.pack(">BL", 1, len(content)) + content + prefixed(b"plain")
    assert read(reader, wire) == [b"text " * 100, b"plain"]


@pytest.mark.parametrize(
    ("encoding", "wire", "code"),
    [
        (b"identity", b"\1\0\0\0\1x", Code.INTERNAL),
        (b"gzip", b"\2\0\0\0\1x", Code.INTERNAL),
        (b"br", b"\1\0\0\0\1x", Code.INTERNAL),
        (b"gzip", b"\1\0\0\0\1x", Code.INTERNAL),
        (b"deflate", b"\1" + struct.pack(">L", 12) + zlib.compress(b"abcd"), Code.OK),
        (b"deflate", b"\1" + struct.pack(">L", 13) + zlib.compress(b"abcd") + b"x", Code.INTERNAL),
        (b"deflate", b"\1" + struct.pack(">L", 8) + zlib.compress(b"abcd")[:8], Code.INTERNAL),
        (b"identity", struct.pack(">BL", 0, 1001), Code.RESOURCE_EXHAUSTED),
        (b"deflate", b"\1" + struct.pack(">L", len(ZEROS)) + ZEROS, Code.RESOURCE_EXHAUSTED),
    ],
)
def test_damaged_and_oversized_messages(encoding: bytes, wire: bytes, code: Code) -> None:
    """Unknown flags and encodings, damage, and messages that are too large before or after decompression."""
    reader = MessageReader(1000)
    reader.start(encoding)
    if code is Code.OK:
        assert read(reader, wire) == [b"abcd"]
        return
    with pytest.raises(CallError) as caught:
        read(reader, wire)
    assert (caught.value.code, caught.value.is_sent) == (code, False)


def test_a_bomb_is_not_unpacked() -> None:
    """Decompression stops at the limit: a gigabyte of zeros is refused without being produced."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = b"".join(compressor.compress(bytes(1_000_000)) for _ in range(100)) + compressor.flush()
    reader = MessageReader(1_000_000)
    reader.start(b"gzip")
    with pytest.raises(CallError) as caught:
        read(reader, struct.pack(">BL", 1, len(content)) + content)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED


def test_messages_are_not_unpacked_before_they_are_read() -> None:
    """Messages that nobody reads stay compressed, so that they take no more than their window."""
    content = gzip.compress(bytes(1_000_000))
    reader = MessageReader(1_000_000)
    reader.start(b"gzip")
    assert reader.feed((struct.pack(">BL", 1, len(content)) + content) * 50) == [(1, content)] * 50


def test_small_pieces_are_kept_together() -> None:
    """A message that arrives in pieces of a few bytes takes little more than its size until it is complete."""
    size = 20 * SMALL_PIECES_MAX // 2
    reader = MessageReader(size)
    reader.feed(prefixed(bytes(size))[:5])
    tracemalloc.start()
    try:
        for _ in range(size // 20 - 1):
            reader.feed(bytes(20))
        assert tracemalloc.get_traced_memory()[0] < 1.5 * size
    finally:
        tracemalloc.stop()
    assert reader.feed(bytes(20)) == [(0, bytes(size))]


def test_a_message_has_no_more_pieces_than_it_needs() -> None:
    """A message of many tiny pieces ends its call; large pieces, and those of other messages, don't count."""
    reader = MessageReader(16_000_000)
    for _ in range(2):
        reader.feed(prefixed(bytes(16_000_000))[:5])
        for _ in range(SMALL_PIECES_MAX - 1):
            reader.feed(b"ab")
        large = bytes(SMALL_BYTES)
        while reader.missing > SMALL_BYTES:
            reader.feed(large)
        assert len(reader.feed(bytes(reader.missing))) == 1
    reader.feed(prefixed(bytes(16_000_000))[:5])
    for _ in range(SMALL_PIECES_MAX):
        reader.feed(b"ab")
    with pytest.raises(CallError) as caught:
        reader.feed(b"ab")
    assert caught.value.code is Code.INTERNAL
