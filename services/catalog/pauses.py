"""The pauses of a stream, in which a receiver has time for what it has received."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TypeVar

from mesh.background import stop

Message = TypeVar("Message")


async def with_pauses(messages: AsyncIterator[Message], pause_s: float) -> AsyncGenerator[Message | None, None]:
    """Yields the messages of a stream, and None before each one that does not arrive within `pause_s`."""
    while True:
        arriving = asyncio.create_task(_next(messages))
        try:
            arrived, _ = await asyncio.wait({arriving}, timeout=pause_s)
            if not arrived:
                yield None
            message = await arriving
        except StopAsyncIteration:
            return
        finally:
            await stop([arriving])
        yield message


async def _next(messages: AsyncIterator[Message]) -> Message:
    return await anext(messages)
