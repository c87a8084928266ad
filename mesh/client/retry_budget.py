"""The retry budget: retries are few beside the calls that are answered.

https://github.com/grpc/proposal/blob/master/A6-client-retries.md#throttling-retry-attempts-and-hedged-rpcs
"""

from typing import Final

RETRIES_MAX: Final = 100
"""The most retries in a row without an answer: as many as a lost connection may have had calls."""

RETRIES_PER_ANSWER: Final = 0.1


class RetryBudget:
    """The retries that a channel may make. While a workload fails, callers' own repetitions come on top of ours: each
    call with three attempts would triple the load that it fails under.
    """

    def __init__(self) -> None:
        self._left = float(RETRIES_MAX)

    def deposit(self) -> None:
        """Adds the part of a retry that an answered call allows."""
        if self._left < RETRIES_MAX:
            self._left = min(self._left + RETRIES_PER_ANSWER, RETRIES_MAX)

    def withdraw(self) -> bool:
        """Takes one retry. Returns False if none is left."""
        if self._left < 1:
            return False
        self._left -= 1
        return True
