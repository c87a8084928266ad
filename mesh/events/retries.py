"""When a failed event is tried again."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retries:
    """How often an event is tried before it is set aside, and the pauses: doubling from the first to the longest.

    The defaults bridge about 20 minutes in which something that a handler needs is away.
    """

    attempts_max: int = 12
    pause_first_s: float = 1.0
    pause_max_s: float = 300.0

    def pause_s(self, attempts: int) -> float | None:
        """The pause after so many failed tries, half to all of the full one so that retries spread; None to give up."""
        if attempts >= self.attempts_max:
            return None
        return min(self.pause_first_s * 2.0 ** (attempts - 1), self.pause_max_s) * random.uniform(0.5, 1.0)
