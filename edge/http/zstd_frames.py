"""The ends of zstd frames (RFC 8878, section 3.1), which the library doesn't report while it limits the output."""

from typing import Final

BLOCKS_MAX: Final = 100_000
"""The most blocks and frames of a body. A block may have three bytes and no content, and each costs time."""

_MAGIC: Final = 0xFD2FB528
_SKIPPABLE_MAGICS: Final = range(0x184D2A50, 0x184D2A60)
_MAGIC_BYTES: Final = 4
_SKIPPABLE_HEAD_BYTES: Final = 8
_BLOCK_HEAD_BYTES: Final = 3
_CHECKSUM_BYTES: Final = 4
_DICTIONARY_ID_BYTES: Final = (0, 1, 2, 4)
_CONTENT_SIZE_BYTES: Final = (0, 2, 4, 8)
_RLE_BLOCK: Final = 1


def is_whole(body: bytes) -> bool:
    """Returns whether a body consists of whole frames, at least one. Some may be skippable, with content that is not
    the body's. The content of blocks is not examined.
    """
    at = blocks = 0
    while at < len(body):
        magic = _little_endian(body, at, _MAGIC_BYTES)
        if magic == _MAGIC:
            at, blocks = _end_of_frame(body, at + _MAGIC_BYTES, blocks)
        elif magic in _SKIPPABLE_MAGICS:
            at += _SKIPPABLE_HEAD_BYTES + _little_endian(body, at + _MAGIC_BYTES, 4)
        else:
            return False
        blocks += 1
        if blocks > BLOCKS_MAX:
            return False
    return at == len(body) > 0


def _end_of_frame(body: bytes, at: int, blocks: int) -> tuple[int, int]:
    """Returns the end of the frame whose descriptor (section 3.1.1.1.1) is at a position, beyond the body if it is cut
    off, and the number of blocks so far.
    """
    descriptor = _little_endian(body, at, 1)
    is_single_segment, has_checksum = bool(descriptor & 0x20), bool(descriptor & 0x04)
    content_size_bytes = _CONTENT_SIZE_BYTES[descriptor >> 6] or is_single_segment
    at += 1 + (not is_single_segment) + _DICTIONARY_ID_BYTES[descriptor & 0x03] + content_size_bytes
    is_last = False
    while not is_last and at < len(body) and blocks <= BLOCKS_MAX:
        head = _little_endian(body, at, _BLOCK_HEAD_BYTES)  # section 3.1.1.2
        is_last, kind, size_bytes = bool(head & 1), head >> 1 & 0x03, head >> 3
        at += _BLOCK_HEAD_BYTES + (1 if kind == _RLE_BLOCK else size_bytes)
        blocks += 1
    if not is_last:
        return len(body) + 1, blocks
    return at + _CHECKSUM_BYTES * has_checksum, blocks


def _little_endian(body: bytes, at: int, count: int) -> int:
    return int.from_bytes(body[at : at + count], "little")
