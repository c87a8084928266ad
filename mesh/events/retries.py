"""The retry policy for events whose handlers failed."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retries:
    """The number of tries before an event becomes a dead letter, and the pauses, which double from the first to the
    longest. With the defaults, events survive an outage of about 20 minutes.
    """

    attempts_max: int = 12
    pause_first_s: float = 1.0
    pause_max_s: float = 300.0

    def pause_s(self, attempts: int) -> float | None:
        """Returns the pause after this number of failed tries, with up to half of it taken off at random so that
        retries spread; None after the last try.
        """
        if attempts >= self.attempts_max:
            return None
        return min(self.pause_first_s * 2.0 ** (attempts - 1), self.pause_max_s) * random.uniform(0.5, 1.0)
