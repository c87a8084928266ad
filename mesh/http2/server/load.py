"""The load of a server, over all its connections: the calls that are open, and the memory that they hold.

docs/operations.md, "Memory of a service", adds up what a pod needs.
"""

from typing import Final

from mesh.errors import Code
from mesh.rpc.call_error import CallError

HELD_BYTES_MAX: Final = 33_554_432
"""The most memory of requests that have arrived and were not read, of single requests and metadata until their calls
end, and as much of responses that clients do not read.
"""

FIELD_MEMORY_BYTES: Final = 128
"""The memory of a field of metadata beside its name and its value."""

MESSAGE_BYTES: Final = 128
"""The memory of a message beside its content."""


class HeldBytes:
    """The memory of requests or of responses."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._count = 0

    def hold(self, count: int) -> None:
        """Counts bytes. Raises CallError if there are too many; they have to be released in either case."""
        self._count += count
        if self._count > HELD_BYTES_MAX:
            raise CallError(Code.RESOURCE_EXHAUSTED, f"The server holds as many bytes of {self._kind} as it may.")

    def release(self, count: int) -> None:
        """Counts bytes that are held no more."""
        self._count -= count


class Load:
    """The counters, with their limits. Requests and responses have one each, so that clients that do not read make no
    other call fail that is short.
    """

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._calls = 0
        self.requests = HeldBytes("requests")
        self.responses = HeldBytes("responses")

    def enter(self, head_bytes: int) -> None:
        """Counts a call, and the memory of its head. Raises CallError if there are too many; it has to leave, and to
        release its head, in either case.
        """
        self._calls += 1
        self.requests.hold(head_bytes)
        if self._calls > self._calls_max:
            raise CallError(Code.RESOURCE_EXHAUSTED, f"The server has {self._calls_max} calls, which is its limit.")

    def leave(self) -> None:
        """Counts the end of a call."""
        self._calls -= 1
