"""A reader of response messages with a timeout for each.

Cancelling a read in gRPC cancels the call. Therefore a separate task reads ahead what has arrived, within limits; a
consumer that does not take the messages slows the service down. Messages that arrive together are taken in one turn of
the event loop, and can leave together.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final, Self

from edge.call.upstream import Responses
from edge.http.held_bytes import HeldByteCounter
from edge.http.idle_timer import IdleTimer

AHEAD_MAX: Final = 32
AHEAD_BYTES_MAX: Final = 8_192
"""How many messages are read ahead, and how many bytes; one message may be larger."""

COPIES: Final = 4
"""How often a larger message is in memory while a client receives it slowly: as the service sent it, as the client gets
it, the one before in the send buffer, and the next one.
"""


class EndOfResponses(Exception):
    """The regular end of the messages."""


class ResponseReader:
    """A reader of the responses of one call, active inside its context."""

    def __init__(self, responses: Responses, idle_timer: IdleTimer, held: HeldByteCounter) -> None:
        """`held` counts the memory of large messages; without room for one, next() raises as HeldBytes.change()."""
        self._responses = responses
        self._idle_timer = idle_timer
        self._held = held
        self._messages: deque[bytes] = deque()
        self._bytes = 0  # in all these messages
        self._end: BaseException | None = None
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read(aiter(self._responses)), name="responses")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None, "the context is entered"
        self._task.cancel()
        await asyncio.wait([self._task])
        self._task = self._end = None  # frames of their tracebacks refer to this reader

    @property
    def has_more(self) -> bool:
        """Returns whether next() will return a message at once."""
        return bool(self._messages)

    async def next(self, patience_s: float | None = None) -> bytes | None:
        """Returns the next message, or None after `patience_s`. Raises EndOfResponses or the error of the call."""
        if not self._messages and self._end is None:
            await self._wait(patience_s)
        if self._messages:
            message = self._messages.popleft()
            self._bytes -= len(message)
            if not self._messages:
                self._taken.set()
            self._idle_timer.restart()
            return message
        if self._end is not None:
            raise self._end
        return None

    def stop(self, why: BaseException) -> None:
        """Ends the messages with an exception, after those that have been read ahead."""
        self._end = self._end or why
        self._changed.set()

    async def _wait(self, patience_s: float | None) -> None:
        self._changed.clear()
        timer = None if patience_s is None else asyncio.get_running_loop().call_later(patience_s, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _read(self, messages: AsyncIterator[bytes]) -> None:
        try:
            async for message in messages:
                if len(message) > AHEAD_BYTES_MAX:
                    self._held.set(max(self._held.bytes, COPIES * len(message)))
                self._messages.append(message)
                self._bytes += len(message)
                self._changed.set()
                if len(self._messages) == AHEAD_MAX or self._bytes >= AHEAD_BYTES_MAX:
                    self._taken.clear()
                    await self._taken.wait()
        except Exception as error:  # noqa: BLE001 # raised where the messages are taken
            self.stop(error)
        else:
            self.stop(EndOfResponses())
