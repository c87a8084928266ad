"""A worker thread for large messages, so that they don't block the event loop.

Reading a megabyte of JSON takes a tenth of a second of Python, and its decompression some milliseconds. One thread does
all such work in sequence, so that the event loop shares the interpreter with only one other thread, however many
clients send large messages.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar, TypeVarTuple

INLINE_BYTES_MAX: Final = 32_768
"""Messages up to this size take a few milliseconds at most, and are processed in the event loop."""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run(size_bytes: int, work: Callable[[*Ts], T], *args: *Ts) -> T:
    """Calls `work` on a message of `size_bytes`, in the worker thread if it is large. Returns or raises its result."""
    return work(*args) if size_bytes <= INLINE_BYTES_MAX else await run_in_worker(work, *args)


async def run_in_worker(work: Callable[[*Ts], T], *args: *Ts) -> T:
    """Calls `work` in the worker thread. Returns or raises its result."""
    context = contextvars.copy_context()
    result: T = await asyncio.get_running_loop().run_in_executor(_worker(), context.run, work, *args)
    return result


@cache
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="large work")
