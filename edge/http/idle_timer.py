"""The idle timer of streams."""

import asyncio
import time
from collections.abc import MutableMapping
from typing import Any

from edge.http.request import Receive


class IdleTimer:
    """The time since a message was last sent or received on one stream."""

    __slots__ = ("_last_s",)

    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def restart(self) -> None:
        """Restarts the timer because a message was sent or received."""
        self._last_s = time.monotonic()

    async def receive(self, receive: Receive, idle_s: float) -> MutableMapping[str, Any]:
        """Returns the next message of the client. Raises TimeoutError if neither the client nor the service has sent
        anything for `idle_s`.
        """
        while True:
            try:
                async with asyncio.timeout(self._remaining_s(idle_s)):
                    message = await receive()
            except TimeoutError:
                if self._remaining_s(idle_s) > 0:
                    continue
                raise
            self.restart()
            return message

    def _remaining_s(self, idle_s: float) -> float:
        return self._last_s + idle_s - time.monotonic()
