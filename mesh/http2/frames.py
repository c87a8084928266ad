"""The frames of HTTP/2: RFC 9113, sections 4 and 6."""

import struct
from typing import Final

from mesh.http2.faults import ConnectionFault, ErrorCode

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITIZED: Final = 0x20

HEADER_BYTES: Final = 9
PING_BYTES: Final = 8
PRIORITY_BYTES: Final = 5
PAYLOAD_BYTES_MAX: Final = 16_384
"""The initial SETTINGS_MAX_FRAME_SIZE, which we leave in place for the frames that we receive."""

FRAME_BYTES_MAX: Final = HEADER_BYTES + PAYLOAD_BYTES_MAX

STREAM_ID_MAX: Final = 2**31 - 1

Frame = tuple[int, int, int, bytes]
"""The type, the flags, the stream identifier and the payload."""

_HEADER = struct.Struct(">BHBBL")
_UINT32 = struct.Struct(">L")
_GOAWAY = struct.Struct(">LL")
_SETTING = struct.Struct(">HL")


class FrameReader:
    """The frames of a connection, from the pieces in which its bytes arrive."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[Frame]:
        """Returns the frames that a piece completes. Raises ConnectionFault at a frame that is larger than allowed."""
        if not self._rest:
            return self._parse(piece, 0)
        # The frame that has begun is joined with the start of the piece, so that a long piece is not copied for it.
        frames = self._parse(self._rest + piece[:FRAME_BYTES_MAX], 0)
        if len(piece) > FRAME_BYTES_MAX:
            frames += self._parse(piece, FRAME_BYTES_MAX - len(self._rest))
        return frames

    def _parse(self, data: bytes, start: int) -> list[Frame]:
        """Returns the whole frames from `start`, and keeps the rest."""
        frames: list[Frame] = []
        end = len(data)
        while end - start >= HEADER_BYTES:
            length_high, length_low, kind, flags, stream_id = _HEADER.unpack_from(data, start)
            length = length_high << 16 | length_low
            if length > PAYLOAD_BYTES_MAX:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            next_start = start + HEADER_BYTES + length
            if next_start > end:
                break
            # The reserved bit is ignored: section 4.1.
            frames.append((kind, flags, stream_id & STREAM_ID_MAX, data[start + HEADER_BYTES : next_start]))
            start = next_start
        self._rest = data[start:]
        return frames


def frame(kind: int, flags: int, stream_id: int, payload: bytes | memoryview = b"") -> bytes:
    """Returns a serialised frame."""
    return frame_header(len(payload), kind, flags, stream_id) + payload


def frame_header(length: int, kind: int, flags: int, stream_id: int) -> bytes:
    """Returns the header of a frame whose payload of `length` bytes is sent separately."""
    return _HEADER.pack(length >> 16, length & 0xFFFF, kind, flags, stream_id)


def header_block(stream_id: int, block: bytes, payload_bytes_max: int, flags: int = 0) -> bytes:
    """Returns a header block as HEADERS and as many CONTINUATION frames as it needs: section 6.10."""
    if len(block) <= payload_bytes_max:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    pieces = [block[start : start + payload_bytes_max] for start in range(0, len(block), payload_bytes_max)]
    return b"".join(
        [
            frame(HEADERS, flags, stream_id, pieces[0]),
            *(frame(CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1]),
            frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]),
        ]
    )


def settings(values: dict[int, int]) -> bytes:
    """Returns a SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*each) for each in values.items()))


def window_update(stream_id: int, increment: int) -> bytes:
    """Returns a WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, 0, stream_id, _UINT32.pack(increment))


def rst_stream(stream_id: int, code: int) -> bytes:
    """Returns a RST_STREAM frame."""
    return frame(RST_STREAM, 0, stream_id, _UINT32.pack(code))


def goaway(last_stream_id: int, code: int) -> bytes:
    """Returns a GOAWAY frame; streams of the peer above the identifier are not processed."""
    return frame(GOAWAY, 0, 0, _GOAWAY.pack(last_stream_id, code))


def unpadded(flags: int, payload: bytes) -> bytes:
    """Returns the payload of a DATA or HEADERS frame without its padding: section 6.1. Raises ConnectionFault."""
    if not flags & PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]


def header_fragment(flags: int, payload: bytes) -> bytes:
    """Returns the fragment of a header block in a HEADERS frame: section 6.2. Raises ConnectionFault."""
    fragment = unpadded(flags, payload)
    if not flags & PRIORITIZED:
        return fragment
    if len(fragment) < PRIORITY_BYTES:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS without its priority")
    return fragment[PRIORITY_BYTES:]


def parse_settings(flags: int, payload: bytes) -> list[tuple[int, int]]:
    """Returns the settings in a SETTINGS frame, in order: section 6.5. Raises ConnectionFault."""
    if len(payload) % _SETTING.size or (flags & ACK and payload):
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
    return list(_SETTING.iter_unpack(payload))


def parse_uint32(payload: bytes) -> int:
    """Returns the number in a RST_STREAM or WINDOW_UPDATE frame: sections 6.4 and 6.9. Raises ConnectionFault."""
    if len(payload) != _UINT32.size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"{len(payload)} bytes where 4 belong")
    number: int = _UINT32.unpack(payload)[0]
    return number


def parse_goaway(payload: bytes) -> tuple[int, int]:
    """Returns the last stream identifier and the error code in a GOAWAY frame: section 6.8. Raises ConnectionFault."""
    if len(payload) < _GOAWAY.size:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, f"GOAWAY of {len(payload)} bytes")
    last_stream_id, code = _GOAWAY.unpack_from(payload)
    return last_stream_id & STREAM_ID_MAX, code
