"""When something last travelled on a stream, whichever way."""

import time


class Activity:
    """The clock of one stream."""

    __slots__ = ("_last_s",)

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def note(self) -> None:
        """A message came or went."""
        self._last_s = time.monotonic()

    def patience_s(self, idle_s: float) -> float:
        """How much longer the stream may be silent, if it may be so for `idle_s`."""
        return self._last_s + idle_s - time.monotonic()
