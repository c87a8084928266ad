"""The circuit breaker: a workload that keeps failing is left alone for a while, so that its callers fail at once
instead of waiting.
"""

import time

from mesh.errors import Code


class Breaker:
    """Closed, until FAILURES_MAX calls in a row have failed; then open for a time that doubles from OPEN_S_MIN to
    OPEN_S_MAX with each failed probe; after it one call at a time is let through to see whether the workload is back.
    """

    FAILURES_MAX = 5
    OPEN_S_MIN = 0.25
    OPEN_S_MAX = 4.0
    DEADLINE_COUNTS_S = 1.0

    def __init__(self) -> None:
        self._failures = 0
        self._open_s = self.OPEN_S_MIN
        self._open_until = 0.0

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

    def record(self, code: Code, timeout_s: float) -> None:
        """Counts an answer. A deadline counts only if it left the workload time to answer: a caller in a hurry proves
        nothing.
        """
        failed = code is Code.UNAVAILABLE or (code is Code.DEADLINE_EXCEEDED and timeout_s >= self.DEADLINE_COUNTS_S)
        if not failed:
            self._failures, self._open_s = 0, self.OPEN_S_MIN
            return
        self._failures += 1
        if self._failures >= self.FAILURES_MAX:
            self._open_until = time.monotonic() + self._open_s
            self._open_s = min(self._open_s * 2, self.OPEN_S_MAX)
