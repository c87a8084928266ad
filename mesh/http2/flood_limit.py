"""The limit on frames that carry nothing: RFC 9113, section 10.5.

Each such frame costs a peer little and us more: pings, settings, resets, empty data, frames of streams that have ended.
A peer has some for each frame of ours that may be answered, and some for each second.
"""

import time
from typing import Final

from mesh.http2.faults import ConnectionFault, ErrorCode

FRAMES_MAX: Final = 2_000
FRAMES_A_SECOND: Final = 100
FRAMES_A_SENT_FRAME: Final = 8


class FloodLimit:
    """A token bucket of frames. The clock is read only when it is empty."""

    __slots__ = ("_filled_at", "_left")

    def __init__(self) -> None:
        self._left = FRAMES_MAX
        self._filled_at = time.monotonic()

    def earn(self) -> None:
        """Allows more, because we sent a frame that may be answered."""
        if self._left < FRAMES_MAX:
            self._left = min(self._left + FRAMES_A_SENT_FRAME, FRAMES_MAX)

    def spend(self, count: int = 1) -> None:
        """Counts a frame, or what costs as much as several. Raises ConnectionFault at the limit."""
        self._left -= count
        if self._left >= 0:
            return
        now = time.monotonic()
        self._left = min(self._left + int((now - self._filled_at) * FRAMES_A_SECOND), FRAMES_MAX)
        if self._left < 0:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that carry nothing")
        self._filled_at = now
