"""The budget for bytes that the edge holds for clients: incomplete or active request bodies, and unread replies.

The process has one budget, and each client address has a share of it (IPv6 networks of /64 count as one address), so
that a client that exhausts its share does not affect others.
"""

import sys
from collections import Counter
from types import TracebackType
from typing import Final, Self

from edge.http.client_key import client_key
from mesh.errors import ResourceExhausted, Unavailable

SHARES: Final = 4
"""One client may hold a quarter of the budget, but always BODIES_MIN bodies of the maximum size."""

BODIES_MIN: Final = 2


class HeldBytes:
    """The budget of one process. A single holder is admitted at any size, because a reply can't be made smaller."""

    def __init__(self, bytes_max: int, body_bytes_max: int) -> None:
        """`body_bytes_max` is the maximum size of a body, at most half of `bytes_max`."""
        self._share_max = max(bytes_max // SHARES, BODIES_MIN * body_bytes_max)
        self._bytes_max = bytes_max
        self._bytes = 0
        self._by_client: Counter[str] = Counter()

    @classmethod
    def unlimited(cls) -> "HeldBytes":
        """Returns a budget without a limit."""
        return cls(sys.maxsize, 0)

    def of(self, client: str) -> "HeldByteCounter":
        """Returns a counter of the bytes of one request or connection from an address."""
        return HeldByteCounter(self, client_key(client))

    def change(self, client: str, count: int) -> None:
        """Adds bytes, or frees them if `count` is negative. Raises Unavailable or ResourceExhausted without room."""
        if count > 0 and 0 < self._bytes > self._bytes_max - count:
            raise Unavailable("Too much data is being sent at the same time.", reason="OVERLOADED", retry_after_s=1)
        if count > 0 and 0 < self._by_client[client] > self._share_max - count:
            text = f"Your address has more than {self._share_max} bytes in transit."
            raise ResourceExhausted(text, reason="TOO_MANY_BYTES_AT_ONCE", retry_after_s=1)
        self._bytes += count
        self._by_client[client] += count
        if not self._by_client[client]:
            del self._by_client[client]


class HeldByteCounter:
    """A counter of the bytes that one request or connection holds. They are freed at the end of the context."""

    __slots__ = ("_budget", "_client", "bytes")

    def __init__(self, budget: HeldBytes, client: str) -> None:
        self._budget = budget
        self._client = client
        self.bytes = 0
        """The number of held bytes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.set(0)

    def add(self, count: int) -> None:
        """Holds more bytes. Raises as HeldBytes.change()."""
        self._budget.change(self._client, count)
        self.bytes += count

    def set(self, count: int) -> None:
        """Sets the number of held bytes. Raises as HeldBytes.change()."""
        if count != self.bytes:
            self.add(count - self.bytes)
