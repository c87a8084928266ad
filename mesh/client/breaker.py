"""The circuit breaker: a workload that can't be reached is left alone for a while, so that its callers fail at once
instead of waiting.
"""

import time


class Breaker:
    """Closed, until FAILURES_MAX calls in a row have failed; then open for a time that doubles from OPEN_S_MIN to
    OPEN_S_MAX with each failed probe; after it one call at a time is let through to see whether the workload is back.

    Failures are calls that got no answer. What a workload answers, errors too, a caller may have provoked.
    """

    FAILURES_MAX = 5
    OPEN_S_MIN = 0.25
    OPEN_S_MAX = 4.0

    def __init__(self) -> None:
        self._failures = 0
        self._open_s = self.OPEN_S_MIN
        self._open_until = 0.0
        self._answered = -1.0

    def wait_s(self) -> float:
        """Zero if a call may be made now, and makes further callers wait while it is the probe; else the seconds until
        the next may.
        """
        if self._failures < self.FAILURES_MAX:
            return 0.0
        now = time.monotonic()
        if now < self._open_until:
            return self._open_until - now
        self._open_until = now + self._open_s
        return 0.0

    def answered(self) -> None:
        """Notes that the workload answered something."""
        self._failures, self._open_s, self._answered = 0, self.OPEN_S_MIN, time.monotonic()

    def failed(self, begun: float) -> None:
        """Counts a call that got no answer, unless another one got one since the time.monotonic() second at which this
        call began: then the call was at fault, not the workload.
        """
        if begun <= self._answered:
            return
        self._failures += 1
        if self._failures >= self.FAILURES_MAX:
            self._open_until = time.monotonic() + self._open_s
            self._open_s = min(self._open_s * 2, self.OPEN_S_MAX)

    def given_up(self) -> None:
        """Notes that a caller waits no longer. If its call was the probe, the next call is one: callers in a hurry must
        not keep the circuit open.
        """
        if self._failures >= self.FAILURES_MAX:
            self._open_until = 0.0
