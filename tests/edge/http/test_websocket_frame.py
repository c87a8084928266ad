"""The ends of WebSocket frames."""

import pytest
from websockets.frames import Frame, Opcode

from edge.http.websocket_frame import frame_end

PAYLOAD_BYTES_MAX = 70_000


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, PAYLOAD_BYTES_MAX])
def test_a_frame_ends_where_the_library_ends_it(size: int) -> None:
    """Bytes behind a frame do not matter, and one without its last byte is incomplete."""
    frame = Frame(Opcode.TEXT, b"x" * size).serialize(mask=True)
    assert frame_end(frame + b"\x81", PAYLOAD_BYTES_MAX) == len(frame)
    for missing in {len(frame), len(frame) - 1, len(frame) - 3, size, 1} - {0}:
        assert not frame_end(frame[: len(frame) - missing], PAYLOAD_BYTES_MAX)


@pytest.mark.parametrize(
    "head",
    [
        Frame(Opcode.TEXT, b"x" * (PAYLOAD_BYTES_MAX + 1)).serialize(mask=True)[:20],
        b"\x81\xff" + b"\xff" * 8,
        Frame(Opcode.TEXT, b"x" * 100).serialize(mask=False)[:20],
        b"GET / HTTP/1.1\r\n",
    ],
    ids=["too large", "huge", "not masked", "not a frame"],
)
def test_a_head_is_enough_to_reject_a_frame(head: bytes) -> None:
    """The parser gets what there is of the frame."""
    assert frame_end(head, PAYLOAD_BYTES_MAX) == len(head)
