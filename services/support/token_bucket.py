"""A token bucket, which limits how often one client may do something."""

import asyncio
import time


class TokenBucket:
    """A limit on how often something is done: at most `burst` times at once, and `per_s` times a second after that."""

    def __init__(self, *, burst: int, per_s: float) -> None:
        self._ahead_s = burst / per_s
        self._interval_s = 1 / per_s
        self._next_at_s = 0.0

    async def take(self) -> None:
        """Takes a token. Waits until there is one."""
        now = time.monotonic()
        self._next_at_s = max(self._next_at_s, now - self._ahead_s) + self._interval_s
        await asyncio.sleep(self._next_at_s - now)
