"""The settings of the peer: RFC 9113, section 6.5."""

from typing import Final

from mesh.http2.faults import ConnectionFault, ErrorCode
from mesh.http2.windows import WINDOW_BYTES, WINDOW_BYTES_MAX

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

STREAMS_MAX: Final = 1_000
"""The most streams of a connection, also if the peer accepts more."""

FRAME_BYTES_MAX: Final = 65_536
"""The largest payload that we send, also if the peer accepts more: streams take turns."""

_FRAME_BYTES: Final = range(2**14, 2**24)


class PeerSettings:
    """The settings of a peer, first the initial ones. We use no header table and no limit on lists of headers: the
    latter is advice, and a server's own answer names it.
    """

    __slots__ = ("_push_max", "are_known", "frame_bytes_max", "streams_max", "window_bytes")

    def __init__(self, *, of_client: bool = False) -> None:
        self._push_max = 1 if of_client else 0
        self.are_known = False
        """Whether the peer has sent its settings."""
        self.streams_max = STREAMS_MAX
        self.window_bytes = WINDOW_BYTES
        self.frame_bytes_max = _FRAME_BYTES.start

    def update(self, settings: list[tuple[int, int]]) -> None:
        """Changes the settings in their order; unknown ones are ignored. Raises ConnectionFault."""
        self.are_known = True
        for identifier, value in settings:
            if identifier == MAX_CONCURRENT_STREAMS:
                self.streams_max = min(value, STREAMS_MAX)
            elif identifier == INITIAL_WINDOW_SIZE:
                if value > WINDOW_BYTES_MAX:
                    raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, f"an initial window of {value} bytes")
                self.window_bytes = value
            elif identifier == MAX_FRAME_SIZE:
                if value not in _FRAME_BYTES:
                    raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"frames of up to {value} bytes")
                self.frame_bytes_max = min(value, FRAME_BYTES_MAX)
            elif identifier == ENABLE_PUSH and value > self._push_max:  # section 6.5.2
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"ENABLE_PUSH of {value}")
