"""A header block in several frames: RFC 9113, section 6.10."""

from typing import Final

from mesh.http2.faults import ConnectionFault, ErrorCode

BLOCK_BYTES_MAX: Final = 65_536
"""The limit on a header block with its CONTINUATION frames."""


class HeaderBlock:
    """A block that HEADERS begins and CONTINUATION frames continue."""

    __slots__ = ("_content", "flags", "stream_id")

    def __init__(self, stream_id: int, flags: int, fragment: bytes) -> None:
        """`flags` are those of HEADERS, which count for the whole block."""
        self.stream_id = stream_id
        self.flags = flags
        self._content = bytearray(fragment)

    def add(self, stream_id: int, fragment: bytes) -> None:
        """Adds the fragment of a CONTINUATION frame. Raises ConnectionFault."""
        if stream_id != self.stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of another stream")
        self._content += fragment
        if len(self._content) > BLOCK_BYTES_MAX:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of more than {BLOCK_BYTES_MAX} bytes")

    def content(self) -> bytes:
        """Returns the whole block."""
        return bytes(self._content)
