"""A count of the turns that a piece of work leaves to other tasks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """The turns that another task has had."""

    def __init__(self) -> None:
        self.count = 0

    async def take(self) -> None:
        """Takes each turn that it gets."""
        while True:
            self.count += 1
            await asyncio.sleep(0)


@asynccontextmanager
async def turns_of_others() -> AsyncIterator[Turns]:
    """Counts the turns of another task during the block."""
    turns = Turns()
    other = asyncio.create_task(turns.take())
    try:
        yield turns
    finally:
        other.cancel()
