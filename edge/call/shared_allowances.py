"""The allowances of callers for several processes, in memory that they share.

The table is a hash table of sets with a fixed number of places. In its set, a caller takes the place of an allowance
that is full again. A method may have as many places of a set as are still free, as in edge.call.allowances; the callers
that find none share an entry with the others of their method, beside the table.
"""

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

SETS: Final = 4096
PLACES: Final = 16
SHARED_ENTRIES: Final = 4096
"""The number of entries for callers without a place. Methods with the same hash share one."""

_CALLER_BITS: Final = 48
_METHODS: Final = 1 << (64 - _CALLER_BITS)
_CALLERS: Final = 1 << _CALLER_BITS


class SharedKey(NamedTuple):
    """A place in the table, and the name that it is to have; 0 for the shared entries, which have none."""

    place: int
    name: int


class SharedAllowances:
    """The time at which each allowance is full, as time.monotonic(), which is the same in all processes of a machine.

    It is created before its processes are forked: they inherit the memory, and Python's secret for hashes, so that a
    caller has the same place in all of them, and nobody outside can know whose.
    """

    def __init__(self, lock: Path, sets: int = SETS) -> None:
        """`lock` is the path of a file to be created."""
        self._sets = sets
        entries = sets * PLACES
        self._names = memoryview(mmap.mmap(-1, entries * 8)).cast("Q")
        self._full_at = memoryview(mmap.mmap(-1, (entries + SHARED_ENTRIES) * 8)).cast("d")
        self._lock = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keeps other processes from the table. The kernel ends it with a process that is killed (fcntl(2))."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def key(self, method: str, caller: str, now: float) -> SharedKey:
        """Returns the key of a caller that has or can get a place, otherwise the key that all other callers share."""
        tag = hash(method) % _METHODS
        hashed = hash((method, caller))
        name = (tag << _CALLER_BITS | hashed % _CALLERS) or 1
        start = (hashed >> _CALLER_BITS) % self._sets * PLACES
        names = self._names[start : start + PLACES].tolist()
        if name in names:
            return SharedKey(start + names.index(name), name)
        free = [index for index, full_at in enumerate(self._full_at[start : start + PLACES]) if full_at <= now]
        taken = sum(each >> _CALLER_BITS == tag for each in names) - sum(names[i] >> _CALLER_BITS == tag for i in free)
        if free and taken < len(free):
            return SharedKey(start + free[0], name)
        return SharedKey(len(self._names) + hash(method) % SHARED_ENTRIES, 0)

    def full_at(self, key: SharedKey, now: float) -> float:
        """Returns when an allowance is full, `now` if the place has another name."""
        is_another = key.name and self._names[key.place] != key.name
        return now if is_another else max(now, self._full_at[key.place])

    def set(self, key: SharedKey, full_at: float) -> None:
        """Sets when an allowance is full."""
        if key.name:
            self._names[key.place] = key.name
        self._full_at[key.place] = full_at
