"""The allowances of callers, for all methods in one table, whose size does not depend on the contract.

An entry is removed only when its allowance is full again, so that many new callers can't reset the count of another. A
method may have as many entries as are still free, so that a flood of callers of one method leaves half of the table to
the others, a flood of two a third, and so on (Choudhury and Hahne, Dynamic Queue Length Thresholds, 1998). The callers
of a method that have no entry share one.
"""

from collections import Counter, OrderedDict
from contextlib import AbstractContextManager, nullcontext
from typing import Final

ENTRIES_MAX: Final = 50_000
"""The maximum number of entries, beside the shared one of each method."""

SWEPT_COUNT: Final = 4
"""The number of entries that each new caller examines, so that full allowances are removed sooner than added."""

_OTHERS: Final = ""
_ALONE: Final = nullcontext()

Key = tuple[str, str]
"""The name of a method, and a caller or _OTHERS."""


class Allowances:
    """The time at which each allowance is full, as time.monotonic()."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._entries_max = entries_max
        self._full_at: OrderedDict[Key, float] = OrderedDict()
        self._count_by_method: Counter[str] = Counter()

    def exclusive(self) -> AbstractContextManager[None]:
        """Returns a context in which nobody else changes the table, which this process has for itself."""
        return _ALONE

    def key(self, method: str, caller: str, now: float) -> Key:
        """Returns the key of a caller that has or can get an entry, otherwise the key that all other callers share."""
        if (method, caller) in self._full_at:
            return method, caller
        self._sweep(now)
        is_free = self._count_by_method[method] < self._entries_max - len(self._full_at)
        return method, caller if is_free else _OTHERS

    def full_at(self, key: Key, now: float) -> float:
        """Returns when an allowance is full, `now` if it has no entry."""
        return self._full_at.get(key, now)

    def set(self, key: Key, full_at: float) -> None:
        """Sets when an allowance is full."""
        if key not in self._full_at:
            self._count_by_method[key[0]] += 1
        self._full_at[key] = full_at

    def _sweep(self, now: float) -> None:
        """Removes the next few entries that are full, in rotation."""
        for _ in range(min(SWEPT_COUNT, len(self._full_at))):
            key, full_at = self._full_at.popitem(last=False)
            if full_at > now:
                self._full_at[key] = full_at
            else:
                self._count_by_method[key[0]] -= 1
