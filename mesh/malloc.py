"""The freed memory that glibc's allocator keeps, by mallopt(3). Other C libraries keep little."""

import ctypes
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # malloc.h
_M_ARENA_MAX: Final = -8


def share_one_arena() -> None:
    """Makes threads that start later allocate where the first thread does. Each would otherwise get an arena of its
    own, which keeps the memory of the largest work that the thread has done.
    """
    _mallopt(_M_ARENA_MAX, 1)


def return_blocks_from(size_bytes: int) -> None:
    """Makes freed blocks of at least this size return to the system. After the first free of a large block, glibc would
    raise the size by itself, to at most 32 MiB.
    """
    _mallopt(_M_MMAP_THRESHOLD, size_bytes)


def _mallopt(parameter: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(parameter, value)
