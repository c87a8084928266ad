"""The ends of WebSocket frames: RFC 6455, section 5.2."""

from typing import Final

_LENGTH_BYTES: Final = {126: 2, 127: 8}
"""The bytes of an extended length, by the short length that stands for it."""

_MASK_BYTES: Final = 4


def frame_end(data: bytes | bytearray, payload_bytes_max: int) -> int:
    """Returns the end of a client's first frame in the data, 0 if it is incomplete. A frame that is too large or not
    masked ends with the data, because its head is enough to reject it.
    """
    if len(data) < 2:
        return 0
    length = data[1] & 0x7F
    head_bytes = 2 + _LENGTH_BYTES.get(length, 0)
    if len(data) < head_bytes:
        return 0
    if head_bytes > 2:
        length = int.from_bytes(data[2:head_bytes])
    is_masked = bool(data[1] & 0x80)
    if length > payload_bytes_max or not is_masked:
        return len(data)
    end = head_bytes + _MASK_BYTES + length
    return end if end <= len(data) else 0
