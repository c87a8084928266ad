"""The frame parser, beside hyperframe's."""

import contextlib
import struct
from io import BytesIO
from itertools import pairwise

import hyperframe.frame as hyper
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.http2 import frames
from mesh.http2.faults import ConnectionFault, ErrorCode
from mesh.http2.frames import FrameReader

FRAMES = st.tuples(
    st.integers(0, 255), st.integers(0, 255), st.integers(0, frames.STREAM_ID_MAX), st.binary(max_size=300)
)


@given(st.lists(FRAMES, max_size=8), st.data())
def test_frames_are_read_however_they_arrive(sent: list[frames.Frame], draw: st.DataObject) -> None:
    """The same frames are read wherever their bytes are split."""
    wire = b"".join(frames.frame(*each) for each in sent)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader = FrameReader()
    edges = [0, *cuts, len(wire)]
    read = [found for at, until in pairwise(edges) for found in reader.feed(wire[at:until])]
    assert read == sent


@pytest.mark.parametrize("size", [1_000, 16_392, 16_393, 16_394, 40_000, 65_536, 262_144])
def test_long_pieces_are_read_however_they_are_cut(size: int) -> None:
    """A frame that has begun in one piece, and those behind it, are read from the next."""
    sent = [(frames.DATA, 0, 1 + 2 * number, bytes(16_384 - number % 3)) for number in range(40)]
    wire = b"".join(frames.frame(*each) for each in sent)
    reader = FrameReader()
    assert [found for at in range(0, len(wire), size) for found in reader.feed(wire[at : at + size])] == sent


@given(st.binary(max_size=400))
def test_any_bytes_are_frames_or_a_fault(wire: bytes) -> None:
    """Nothing but ConnectionFault is raised, and no frame is larger than allowed."""
    with contextlib.suppress(ConnectionFault):
        found = FrameReader().feed(wire)
        assert all(len(payload) <= frames.PAYLOAD_BYTES_MAX for *_, payload in found)


def test_the_reserved_bit_is_ignored() -> None:
    """The first bit of a stream identifier has no meaning (section 4.1)."""
    wire = struct.pack(">BHBBL", 0, 0, frames.DATA, 0, 1 << 31 | 5)
    assert FrameReader().feed(wire) == [(frames.DATA, 0, 5, b"")]


def test_a_frame_that_is_too_large_is_a_fault_before_it_arrives() -> None:
    """A frame beyond SETTINGS_MAX_FRAME_SIZE is rejected by its header (section 4.2)."""
    assert FrameReader().feed(struct.pack(">BHBBL", 0, 16_384, 0, 0, 1)) == []
    with pytest.raises(ConnectionFault) as caught:
        FrameReader().feed(struct.pack(">BHBBL", 0, 16_385, 0, 0, 1))
    assert caught.value.code == ErrorCode.FRAME_SIZE_ERROR


def hyper_frame(wire: bytes) -> hyper.Frame:
    """Returns a frame as hyperframe reads it."""
    frame, length = hyper.Frame.parse_frame_header(memoryview(wire[:9]))
    frame.parse_body(memoryview(wire[9 : 9 + length]))
    assert len(wire) == 9 + length
    return frame


def test_frames_are_written_as_others_read_them() -> None:
    """hyperframe reads what we write."""
    settings = hyper_frame(frames.settings({1: 0, 4: 70_000}))
    assert isinstance(settings, hyper.SettingsFrame)
    assert settings.settings == {1: 0, 4: 70_000}
    update = hyper_frame(frames.window_update(3, 1000))
    assert isinstance(update, hyper.WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (3, 1000)
    reset = hyper_frame(frames.rst_stream(5, ErrorCode.CANCEL))
    assert isinstance(reset, hyper.RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (5, 8)
    goaway = hyper_frame(frames.goaway(7, ErrorCode.ENHANCE_YOUR_CALM))
    assert isinstance(goaway, hyper.GoAwayFrame)
    assert (goaway.last_stream_id, goaway.error_code) == (7, 11)


@pytest.mark.parametrize("size", [0, 10, 11, 25])
def test_a_header_block_is_split_as_others_join_it(size: int) -> None:
    """A block that is larger than a frame continues in CONTINUATION frames, and only the last one ends it."""
    wire, block = BytesIO(frames.header_block(7, bytes(range(size)), 10)), b""
    kinds, ends = [], []
    while header := wire.read(9):
        high, low, kind, flags, stream = struct.unpack(">BHBBL", header)
        assert stream == 7
        kinds.append(kind)
        ends.append(bool(flags & frames.END_HEADERS))
        block += wire.read(high << 16 | low)
    assert block == bytes(range(size))
    assert kinds == [frames.HEADERS] + [frames.CONTINUATION] * (len(kinds) - 1)
    assert ends == [False] * (len(kinds) - 1) + [True]


@given(st.binary(max_size=30), st.integers(0, 30))
def test_padding_is_removed(content: bytes, padding: int) -> None:
    """The content of a padded frame is the content that hyperframe reads."""
    sent = hyper.DataFrame(1, data=content, pad_length=padding, flags=["PADDED"])
    (found,) = FrameReader().feed(sent.serialize())
    assert frames.unpadded(found[1], found[3]) == content


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x05abcd"])
def test_more_padding_than_payload_is_a_fault(payload: bytes) -> None:
    """Padding may not be longer than the frame (section 6.1)."""
    with pytest.raises(ConnectionFault) as caught:
        frames.unpadded(frames.PADDED, payload)
    assert caught.value.code == ErrorCode.PROTOCOL_ERROR
