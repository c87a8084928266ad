"""The port of rate limits to the table in which the allowances of callers are counted."""

from contextlib import AbstractContextManager
from typing import Any, Protocol


class AllowanceTable(Protocol):
    """The time at which each caller's allowance of a method is full, as time.monotonic(). A table has its own keys."""

    def exclusive(self) -> AbstractContextManager[None]:
        """Returns a context in which no other process changes the table. Nothing in it may wait."""

    def key(self, method: str, caller: str, now: float) -> Any:
        """Returns the key of a caller, which is that of other callers too if the table has no room."""

    def full_at(self, key: Any, now: float) -> float:
        """Returns when an allowance is full, `now` if it is full already."""

    def set(self, key: Any, full_at: float) -> None:
        """Sets when an allowance is full."""
