"""When something last travelled on a stream, whichever way."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from edge.http.request import Receive


class Activity:
    """The clock of one stream."""

    __slots__ = ("_last_s",)

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def note(self) -> None:
        """Notes that a message came or went."""
        self._last_s = time.monotonic()

    async def receive(self, receive: Receive, idle_s: float) -> MutableMapping[str, Any]:
        """Returns what the client sends next. It may be silent for as long as the service is not: raises TimeoutError
        when nothing travels either way for `idle_s`.
        """
        while True:
            try:
                async with asyncio.timeout(self._patience_s(idle_s)):
                    message = await receive()
            except TimeoutError:
                if self._patience_s(idle_s) > 0:
                    continue
                raise
            self.note()
            return message

    def _patience_s(self, idle_s: float) -> float:
        return self._last_s + idle_s - time.monotonic()
