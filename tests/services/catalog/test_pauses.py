"""The pauses of a stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from services.catalog.pauses import with_pauses


async def test_each_pause_is_reported_once_and_no_message_is_lost() -> None:
    """A message that comes after a pause is yielded as any other; the end and an error of the stream are passed on."""
    go_on = asyncio.Event()

    async def messages() -> AsyncIterator[int]:
        yield 1
        await go_on.wait()
        yield 2
        raise LookupError

    seen: list[int | None] = []

    async def read() -> None:
        async for message in with_pauses(messages(), 0.05):
            seen.append(message)
            if message is None:
                go_on.set()

    with pytest.raises(LookupError):
        await read()
    assert seen == [1, None, 2]


async def test_a_stream_that_is_left_in_a_pause_is_not_read_any_more() -> None:
    """Nothing goes on in the background."""
    cancelled = asyncio.Event()

    async def messages() -> AsyncIterator[int]:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        yield 1

    async with aclosing(with_pauses(messages(), 0.01)) as stream:
        assert await anext(stream) is None
    assert cancelled.is_set()
