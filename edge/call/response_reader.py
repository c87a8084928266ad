"""The messages of a response, taken one by one by somebody who can't wait for each of them forever.

gRPC's own reading can't be given up without giving up the call. So a task of its own reads, one message ahead: who does
not take messages slows the service down.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Self

from edge.call.upstream import Responses
from edge.http.idle_timer import IdleTimer


class Ended(Exception):
    """There are no more messages."""


class ResponseReader:
    """Reads responses while it is entered."""

    def __init__(self, responses: Responses, idle_timer: IdleTimer) -> None:
        self._responses = responses
        self._idle_timer = idle_timer
        self._message: bytes | None = None
        self._end: BaseException | None = None
        self._changed = asyncio.Event()
        self._taken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._read(aiter(self._responses)), name="responses")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None, "entered"
        self._task.cancel()
        await asyncio.wait([self._task])

    async def next(self, patience_s: float | None = None) -> bytes | None:
        """The next message; None if `patience_s` passes before it comes. Raises Ended, or whatever ended the call."""
        if self._message is None and self._end is None:
            await self._wait(patience_s)
        if self._message is not None:
            message, self._message = self._message, None
            self._taken.set()
            self._idle_timer.restart()
            return message
        if self._end is not None:
            raise self._end
        return None

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """The messages, for somebody who waits for each. Raises whatever ended the call."""
        with contextlib.suppress(Ended):
            while True:
                message = await self.next()
                assert message is not None, "it comes, or the end does"
                yield message

    def stop(self, why: BaseException) -> None:
        """Ends the messages with an exception, after the one that is there already."""
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
                self._message = message
                self._taken.clear()
                self._changed.set()
                await self._taken.wait()
        except Exception as error:  # noqa: BLE001 # raised where the messages are taken
            self.stop(error)
        else:
            self.stop(Ended())
