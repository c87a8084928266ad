"""Small pieces of a body, for readers that take a step of Python for a few bytes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

SMALL_BYTES_MAX: Final = 16_384
"""The maximum size of a small piece, which takes a few milliseconds if each byte takes a step."""


async def small_pieces(body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yields the body in small pieces, as they arrive. Other tasks have their turn between those of one piece, which is
    a thousand times as large as what the client sent if it was compressed.
    """
    async with aclosing(body):
        async for piece in body:
            yield piece[:SMALL_BYTES_MAX]
            for start in range(SMALL_BYTES_MAX, len(piece), SMALL_BYTES_MAX):
                await asyncio.sleep(0)
                yield piece[start : start + SMALL_BYTES_MAX]
