"""The circuit breaker: stops calls to an unreachable workload for a while, so that its callers fail at once instead of
waiting.
"""

import asyncio
import time


class CircuitBreaker:
    """A circuit breaker. It is closed until FAILURES_MAX calls in a row have failed, then open for a time that doubles
    from OPEN_S_MIN to OPEN_S_MAX with each failed probe. After that time it admits a call, the probe, to find out
    whether the workload is back.

    Slow calls, such as long polls and streams, have a probe of their own: a workload that is back may answer it late,
    and meanwhile it must not hold up calls that would be answered at once.

    Only a call without an answer is a failure. An error that the workload returns does not count, because the caller
    may have caused it.
    """

    FAILURES_MAX = 5
    OPEN_S_MIN = 0.25
    OPEN_S_MAX = 4.0

    def __init__(self) -> None:
        self._failures = 0
        self._open_s = self.OPEN_S_MIN
        self._opened = 0.0
        self._open_until = 0.0
        self._probe_until = {False: 0.0, True: 0.0}  # by whether the calls are slow
        self._answered = -1.0
        self._settled = asyncio.Event()
        """Cleared while the outcome of a probe is awaited."""
        self._settled.set()

    def admit(self, *, slow: bool = False) -> float:
        """Admits a call and returns 0, or returns the seconds until the next call may be made. While the circuit is
        open, an admitted call is the probe, and other callers wait: not for long, because a workload that is back
        answers soon. They may use probe_settles().
        """
        if self._failures < self.FAILURES_MAX:
            return 0.0
        now = time.monotonic()
        if now < self._open_until:
            return self._open_until - now
        if now < self._probe_until[slow]:
            return min(self._probe_until[slow] - now, self.OPEN_S_MIN)
        self._probe_until[slow] = now + self._open_s
        self._settled.clear()
        return 0.0

    async def probe_settles(self) -> bool:
        """Waits for the outcome of the probe, for OPEN_S_MIN at most. Returns whether there is one, and so whether to
        ask admit() again; False at once if there is no probe.
        """
        if self._settled.is_set():
            return False
        try:
            async with asyncio.timeout(self.OPEN_S_MIN):
                await self._settled.wait()
        except TimeoutError:
            return False
        return True

    def record_answer(self) -> None:
        """Closes the circuit because the workload answered."""
        self._failures, self._open_s, self._answered = 0, self.OPEN_S_MIN, time.monotonic()
        self._settled.set()

    def record_failure(self, begun: float) -> None:
        """Counts a call that got no answer. `begun` is the time.monotonic() second at which it began: if another call
        was answered since then, the workload is not at fault, and if the circuit has opened since then, nothing new is
        known about the workload. The failure does not count then.
        """
        is_open = self._failures >= self.FAILURES_MAX
        if begun <= self._answered or (is_open and begun < self._opened):
            return
        self._failures += 1
        if self._failures >= self.FAILURES_MAX:
            self._opened = time.monotonic()
            self._open_until = self._opened + self._open_s
            self._open_s = min(self._open_s * 2, self.OPEN_S_MAX)
            self._admit_probes()

    def record_abandoned(self) -> None:
        """Makes the next call the probe because the caller of this one gave up: callers with short deadlines must not
        keep the circuit open.
        """
        if self._failures >= self.FAILURES_MAX:
            self._open_until = 0.0
            self._admit_probes()

    def _admit_probes(self) -> None:
        self._probe_until = {False: 0.0, True: 0.0}
        self._settled.set()
