"""Work on large messages, away from the event loop, so that everybody else is answered meanwhile.

Reading a megabyte of JSON takes a tenth of a second of Python. One thread does all such work, one piece after the
other: the event loop shares the interpreter with one of them, however many clients send them.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

INLINE_BYTES_MAX: Final = 32_768
"""What is smaller takes a few milliseconds at most, and is done at once."""

T = TypeVar("T")


async def run(size_bytes: int, work: Callable[[], T]) -> T:
    """Returns what `work` returns, and raises what it raises. `size_bytes` is the size of the message it works on."""
    if size_bytes <= INLINE_BYTES_MAX:
        return work()
    context = contextvars.copy_context()
    result: T = await asyncio.get_running_loop().run_in_executor(_worker(), context.run, work)
    return result


@cache
def _worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="large work")
