"""Length-prefixed messages."""

import gzip
import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import Code
from mesh.http2.messages import MessageReader, prefixed
from mesh.rpc.call_error import CallError

ZEROS = zlib.compress(bytes(1001))


@given(st.lists(st.binary(max_size=50), max_size=6), st.data())
def test_messages_are_read_however_they_arrive(messages: list[bytes], draw: st.DataObject) -> None:
    """The same messages are read whatever the pieces are."""
    wire = b"".join(map(prefixed, messages))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader, edges = MessageReader(50), [0, *cuts, len(wire)]
    read = [found for at, until in pairwise(edges) for found in reader.feed(wire[at:until])]
    assert read == [(message, len(message) + 5) for message in messages]
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
    """A message is decompressed as the header says; one without the flag stays as it is."""
    content = compress(b"text " * 100)
    reader = MessageReader(1000)
    reader.start(encoding)
    wire = struct.pack(">BL", 1, len(content)) + content + prefixed(b"plain")
    assert reader.feed(wire) == [(b"text " * 100, len(content) + 5), (b"plain", 10)]


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
        assert reader.feed(wire) == [(b"abcd", len(wire))]
        return
    with pytest.raises(CallError) as caught:
        reader.feed(wire)
    assert (caught.value.code, caught.value.is_sent) == (code, False)


def test_a_bomb_is_not_unpacked() -> None:
    """Decompression stops at the limit: a gigabyte of zeros is refused without being produced."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = b"".join(compressor.compress(bytes(1_000_000)) for _ in range(100)) + compressor.flush()
    reader = MessageReader(1_000_000)
    reader.start(b"gzip")
    with pytest.raises(CallError) as caught:
        reader.feed(struct.pack(">BL", 1, len(content)) + content)
    assert caught.value.code is Code.RESOURCE_EXHAUSTED
