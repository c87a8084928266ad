"""Flow-control windows: RFC 9113, section 5.2."""

from typing import Final

from mesh.http2.faults import ErrorCode, Fault

WINDOW_BYTES: Final = 65_535
"""The initial size of every window: section 6.9.2."""

FIT_BYTES_MIN: Final = WINDOW_BYTES // 2
"""The smallest update for a message that does not fit: padding takes a few bytes of the window with each frame, and a
peer that does not read would make us keep an update for each.
"""

WINDOW_BYTES_MAX: Final = 2**31 - 1


class WindowExceeded(Fault):
    """More data than the window holds, or a window of more than 2^31-1 bytes."""

    def __init__(self, text: str) -> None:
        super().__init__(ErrorCode.FLOW_CONTROL_ERROR, text)


class ReceiveWindow:
    """The bytes that the peer may send us. It is wider for a message that does not fit, until that has been read."""

    __slots__ = ("_left", "_size", "_unread")

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._unread = 0

    @property
    def left(self) -> int:
        """Returns how many bytes the peer may still send."""
        return self._left

    def receive(self, count: int) -> None:
        """Counts bytes that have arrived. Raises WindowExceeded."""
        self._left -= count
        self._unread += count
        if self._left < 0:
            raise WindowExceeded(f"{-self._left} bytes more than the window holds")

    def take(self, count: int) -> int:
        """Counts bytes that have been read. Returns by how much to update the window, 0 to wait for more."""
        self._unread -= count
        increment = self._size - self._unread - self._left
        if increment * 2 < self._size:
            return 0
        self._left += increment
        return increment

    def fit(self, count: int) -> int:
        """Lets at least `count` more bytes arrive before any is read. Returns by how much to update the window."""
        if count <= self._left:
            return 0
        increment = max(count - self._left, FIT_BYTES_MIN, self._size - self._unread - self._left)
        self._left += increment
        return increment


def widened(window: int, increment: int) -> int:
    """Returns a send window after WINDOW_UPDATE or SETTINGS; the latter may make it negative: section 6.9.2. Raises
    WindowExceeded.
    """
    if window + increment > WINDOW_BYTES_MAX:
        raise WindowExceeded(f"a window of {window + increment} bytes")
    return window + increment
