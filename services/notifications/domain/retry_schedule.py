"""The times at which a failed delivery is tried again."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The pauses after each failed attempt, in seconds; there is one attempt more than pauses. `jitter` is the share of
    a pause that is added or taken off at random, so that what failed together is not repeated together.
    """

    pauses_s: Sequence[float]
    jitter: float = 0.2

    def pause_s(self, attempts: int) -> float | None:
        """Returns the pause after this number of failed attempts, None after the last one."""
        if attempts > len(self.pauses_s):
            return None
        return self.pauses_s[attempts - 1] * random.uniform(1 - self.jitter, 1 + self.jitter)
