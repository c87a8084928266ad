"""The circuit breaker: stops calls to an unreachable workload for a while, so that its callers fail at once instead of
waiting.
"""

import time


class CircuitBreaker:
    """A circuit breaker. It is closed until FAILURES_MAX calls in a row have failed, then open for a time that doubles
    from OPEN_S_MIN to OPEN_S_MAX with each failed probe. After that time it admits one call, the probe, to find out
    whether the workload is back.

    Only a call without an answer is a failure. An error that the workload returns does not count, because the caller
    may have caused it.
    """

    FAILURES_MAX = 5
    OPEN_S_MIN = 0.25
    OPEN_S_MAX = 4.0

    def __init__(self) -> None:
        self._failures = 0
        self._open_s = self.OPEN_S_MIN
        self._open_until = 0.0
        self._probing = False
        self._answered = -1.0

    def admit(self) -> float:
        """Admits a call and returns 0, or returns the seconds until the next call may be made. While the circuit is
        open, an admitted call is the probe, and other callers wait: not for long, because a workload that is back
        answers soon.
        """
        if self._failures < self.FAILURES_MAX:
            return 0.0
        now = time.monotonic()
        if now < self._open_until:
            wait_s = self._open_until - now
            return min(wait_s, self.OPEN_S_MIN) if self._probing else wait_s
        self._open_until, self._probing = now + self._open_s, True
        return 0.0

    def record_answer(self) -> None:
        """Closes the circuit because the workload answered."""
        self._failures, self._open_s, self._answered = 0, self.OPEN_S_MIN, time.monotonic()
        self._probing = False

    def record_failure(self, begun: float) -> None:
        """Counts a call that got no answer. `begun` is the time.monotonic() second at which it began: if another call
        was answered since then, the workload is not at fault, and the failure does not count.
        """
        if begun <= self._answered:
            return
        self._failures += 1
        self._probing = False
        if self._failures >= self.FAILURES_MAX:
            self._open_until = time.monotonic() + self._open_s
            self._open_s = min(self._open_s * 2, self.OPEN_S_MAX)

    def record_abandoned(self) -> None:
        """Makes the next call the probe because the caller of this one gave up: callers with short deadlines must not
        keep the circuit open.
        """
        if self._failures >= self.FAILURES_MAX:
            self._open_until = 0.0
