"""The reader of response messages with a timeout."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from edge.call.response_reader import AHEAD_BYTES_MAX, AHEAD_MAX, COPIES, EndOfResponses, ResponseReader
from edge.http.held_bytes import HeldByteCounter, HeldBytes
from edge.http.idle_timer import IdleTimer
from mesh.errors import Metadata, NotFound, ResourceExhausted
from tests.garbage import living


class Silence:
    """A response without messages and without an end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def initial_metadata(self) -> Metadata:
        """Returns no metadata."""
        return ()

    async def trailing_metadata(self) -> Metadata:
        """Returns no metadata."""
        return ()


class Messages(Silence):
    """A response whose messages have all arrived. `read` counts those that were read."""

    def __init__(self, count: int, size_bytes: int, error: Exception | None = None) -> None:
        self._messages = [number.to_bytes(size_bytes, "big") for number in range(count)]
        self._error = error
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for message in self._messages:
            self.read += 1
            yield message
        if self._error is not None:
            raise self._error


def unlimited() -> HeldByteCounter:
    """Returns a counter without a limit."""
    return HeldBytes.unlimited().of("")


def timers() -> list[asyncio.TimerHandle]:
    """Returns the timers of the process that would fire in an hour."""
    soon = asyncio.get_running_loop().time() + 3000
    return [each for each in living(asyncio.TimerHandle) if not each.cancelled() and each.when() > soon]


async def test_a_cancelled_read_leaves_no_timer() -> None:
    """A cancelled read cancels its timer; otherwise timers would accumulate during a heartbeat interval."""
    before = len(timers())
    async with ResponseReader(Silence(), IdleTimer(), unlimited()) as feed:
        waiting = asyncio.create_task(feed.next(3600))
        while len(timers()) == before:
            await asyncio.sleep(0)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
    assert len(timers()) == before


@pytest.mark.parametrize(("size_bytes", "ahead"), [(2, AHEAD_MAX), (1000, AHEAD_BYTES_MAX // 1000 + 1), (9000, 1)])
async def test_messages_are_read_ahead_within_limits(size_bytes: int, ahead: int) -> None:
    """A consumer that takes none has no more than that in memory, and then gets all in order."""
    responses = Messages(100, size_bytes)
    async with ResponseReader(responses, IdleTimer(), unlimited()) as feed:
        for _ in range(10):
            await asyncio.sleep(0)
        assert responses.read == ahead
        got = [await feed.next() for _ in range(100)]
        with pytest.raises(EndOfResponses):
            await feed.next()
    assert [int.from_bytes(message or b"", "big") for message in got] == list(range(100))


async def test_an_error_comes_after_the_messages_before_it() -> None:
    """Messages that have arrived are not lost with the call."""
    async with ResponseReader(Messages(3, 2, NotFound("Gone.")), IdleTimer(), unlimited()) as feed:
        assert [await feed.next() for _ in range(3)] == [b"\0\0", b"\0\1", b"\0\2"]
        with pytest.raises(NotFound):
            await feed.next()


async def test_large_messages_count_as_held_bytes() -> None:
    """The largest one counts, with its copies, and one without room is the error of the call."""
    budget = HeldBytes(8 * COPIES * 10_000, 0)
    other, held = budget.of("192.0.2.1"), budget.of("192.0.2.1")
    other.add(COPIES * 10_000)
    for size_bytes, expected in ((AHEAD_BYTES_MAX, 0), (10_000, COPIES * 10_000)):
        async with ResponseReader(Messages(2, size_bytes), IdleTimer(), held) as feed:
            assert [len(await feed.next() or b"") for _ in range(2)] == [size_bytes] * 2
            assert held.bytes == expected
    async with ResponseReader(Messages(2, 10_001), IdleTimer(), held) as feed:
        with pytest.raises(ResourceExhausted):
            await feed.next()
