"""The bytes that clients make the edge hold: bodies that have not arrived as a whole or are at work, and replies that
nobody takes.

There is a budget for the process, and a share of it for each client address (RFC 4291 networks of /64 count as one
address): a client that uses up its share takes nothing from others.
"""

import sys
from collections import Counter
from types import TracebackType
from typing import Final, Self

from edge.http.client_network import client_network
from mesh.errors import ResourceExhausted, Unavailable

SHARES: Final = 4
"""One client may hold a quarter of the budget, and two of the largest bodies in any case."""


class HeldBytes:
    """The budget of one process. What is alone is let in whatever its size: a reply can't be made smaller."""

    def __init__(self, bytes_max: int, body_bytes_max: int) -> None:
        """`body_bytes_max` is how large a body may be."""
        self._share_max = max(bytes_max // SHARES, 2 * body_bytes_max)
        self._bytes_max = max(bytes_max, self._share_max)
        self._bytes = 0
        self._by_client: Counter[str] = Counter()

    def of(self, client: str) -> "Holding":
        """Returns what counts the bytes of one request or connection of this address."""
        return Holding(self, client_network(client))

    def change(self, client: str, count: int) -> None:
        """Counts more bytes, or fewer. Raises Unavailable or ResourceExhausted if there is no room for more."""
        if count > 0 and 0 < self._bytes > self._bytes_max - count:
            raise Unavailable("Too much is being sent at the same time.", reason="OVERLOADED", retry_after_s=1)
        if count > 0 and 0 < self._by_client[client] > self._share_max - count:
            text = f"Your address has more than {self._share_max} bytes on their way."
            raise ResourceExhausted(text, reason="TOO_MANY_BYTES_AT_ONCE", retry_after_s=1)
        self._bytes += count
        self._by_client[client] += count
        if not self._by_client[client]:
            del self._by_client[client]


class Holding:
    """The bytes that one request or connection holds, until this is left."""

    __slots__ = ("_budget", "_bytes", "_client")

    def __init__(self, budget: HeldBytes, client: str) -> None:
        self._budget = budget
        self._client = client
        self._bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.set(0)

    def add(self, count: int) -> None:
        """Holds so many bytes more. Raises as HeldBytes.change()."""
        self._budget.change(self._client, count)
        self._bytes += count

    def set(self, count: int) -> None:
        """Holds so many bytes in all. Raises as HeldBytes.change()."""
        self.add(count - self._bytes)


def unlimited() -> Holding:
    """Returns what counts against no budget."""
    return HeldBytes(sys.maxsize, 0).of("")
