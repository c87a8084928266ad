"""The load of a server, over all its connections: the calls that are open, and the bytes that they hold."""

from typing import Final

from mesh.errors import Code
from mesh.rpc.call_error import CallError

HELD_BYTES_MAX: Final = 33_554_432
"""The most bytes of requests that have arrived and were not read, and of single requests until their calls end."""


class Load:
    """The counters, with their limits."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._calls = 0
        self._held_bytes = 0

    def enter(self) -> None:
        """Counts a call. Raises CallError if there are too many; it has to leave in either case."""
        self._calls += 1
        if self._calls > self._calls_max:
            raise CallError(Code.RESOURCE_EXHAUSTED, f"The server has {self._calls_max} calls, which is its limit.")

    def leave(self) -> None:
        """Counts the end of a call."""
        self._calls -= 1

    def hold(self, count: int) -> None:
        """Counts bytes of a request. Raises CallError if there are too many; they have to be released in either
        case.
        """
        self._held_bytes += count
        if self._held_bytes > HELD_BYTES_MAX:
            raise CallError(Code.RESOURCE_EXHAUSTED, "The server holds as many bytes of requests as it may.")

    def release(self, count: int) -> None:
        """Counts bytes that are held no more."""
        self._held_bytes -= count
