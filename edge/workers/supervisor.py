"""The parent of the workers: it starts them, replaces those that end or hang, and passes signals on to them."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol

import structlog

from edge.workers.heartbeats import Heartbeats

log = structlog.get_logger()

CHECK_S: Final = 1.0
SILENT_CHECKS_MAX: Final = 15
"""A worker without a heartbeat for this number of checks is killed and replaced. By the clock, workers that were paused
together with the supervisor would be killed too.
"""

PAUSE_FIRST_S: Final = 1.0
PAUSE_MAX_S: Final = 30.0
STABLE_S: Final = 60.0
"""A worker that has run for this long is replaced after PAUSE_FIRST_S again, others after twice the last pause."""

_KILLED: Final = 128
"""The exit status of a worker that a signal has ended is this plus its number, as in a shell."""

_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM})


class Sockets(Protocol):
    """The sockets of one worker."""

    def refuse(self) -> None:
        """Refuses connections until a process listens again."""


@dataclass(slots=True)
class _Slot:
    """The place of one worker, which processes take one after the other."""

    pid: int | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = PAUSE_FIRST_S
    beats: int = 0
    silent_checks: int = 0


class Supervisor:
    """The workers and their parent, which has no thread and no event loop, so that it can fork at any time."""

    def __init__(
        self, sockets: Sequence[Sockets], work: Callable[[int], NoReturn], beats: Heartbeats, stop_s: float
    ) -> None:
        """`sockets` are those of each worker. `work` runs in a process of its own for each number from 0, and never
        returns. Workers may take `stop_s` to stop.
        """
        self._sockets = sockets
        self._work = work
        self._beats = beats
        self._stop_s = stop_s
        self._slots = [_Slot() for _ in sockets]
        self._has_served = False
        self._stop_by: float | None = None
        self._status = 0

    def run(self) -> int:
        """Runs the workers until SIGTERM or SIGINT. Returns the exit status, which is that of the first worker if it
        ends before it has served: it starts alone, so that an invalid contract is reported once.
        """
        with _signals_blocked() as unblock:
            while True:
                self._start_due(unblock)
                match signal.sigwait(_SIGNALS):
                    case signal.SIGTERM | signal.SIGINT:
                        self._stop()
                    case signal.SIGHUP:
                        self._signal(signal.SIGHUP)
                    case signal.SIGALRM:
                        self._kill_hung()
                self._has_served = self._has_served or self._beats.count(0) > 0
                self._reap()
                if self._stop_by is not None and not self._running():
                    return self._status

    def _running(self) -> list[int]:
        return [slot.pid for slot in self._slots if slot.pid is not None]

    def _start_due(self, unblock: Callable[[], None]) -> None:
        if self._stop_by is not None:
            return
        for number, slot in enumerate(self._slots if self._has_served else self._slots[:1]):
            if slot.pid is None and slot.start_at <= time.monotonic():
                self._start(number, slot, unblock)

    def _start(self, number: int, slot: _Slot, unblock: Callable[[], None]) -> None:
        self._beats.clear(number)
        slot.beats = slot.silent_checks = 0
        slot.started_at = time.monotonic()
        pid = os.fork()
        if pid == 0:
            unblock()
            self._work(number)
        slot.pid = pid
        log.info("worker started", worker=number, pid=pid)

    def _reap(self) -> None:
        """Notes which workers have ended, and when to replace them."""
        for number, slot in enumerate(self._slots):
            if slot.pid is None:
                continue
            pid, waited = os.waitpid(slot.pid, os.WNOHANG)
            if pid:
                slot.pid = None
                status = os.waitstatus_to_exitcode(waited)
                self._ended(number, slot, status if status >= 0 else _KILLED - status)

    def _ended(self, number: int, slot: _Slot, status: int) -> None:
        """Decides what follows the end of a worker."""
        self._sockets[number].refuse()  # or connections would wait for the next process
        if self._stop_by is not None:
            self._status = self._status or status
        elif not self._has_served:
            self._status = status or 1
            self._stop()
        else:
            now = time.monotonic()
            slot.pause_s = PAUSE_FIRST_S if now - slot.started_at > STABLE_S else slot.pause_s
            slot.start_at = now + slot.pause_s
            log.error("worker ended, to be replaced", worker=number, status=status, pause_s=slot.pause_s)
            slot.pause_s = min(2 * slot.pause_s, PAUSE_MAX_S)

    def _stop(self) -> None:
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self._stop_s
            self._signal(signal.SIGTERM)

    def _signal(self, signum: signal.Signals) -> None:
        for pid in self._running():
            os.kill(pid, signum)  # an ended worker has its pid until _reap() has seen it

    def _kill_hung(self) -> None:
        for number, slot in enumerate(self._slots):
            beats = self._beats.count(number)
            slot.silent_checks = slot.silent_checks + 1 if slot.beats == beats > 0 else 0
            slot.beats = beats
            is_hung = slot.silent_checks > SILENT_CHECKS_MAX
            if self._stop_by is not None:  # draining, a worker no longer beats
                is_hung = time.monotonic() > self._stop_by
            if slot.pid is not None and is_hung:
                log.error("worker does not answer, killed", worker=number, pid=slot.pid)
                os.kill(slot.pid, signal.SIGKILL)


@contextmanager
def _signals_blocked() -> Iterator[Callable[[], None]]:
    """Blocks signals so that sigwait() receives them, one of them every CHECK_S. Yields the function that restores them
    in a worker.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    signal.setitimer(signal.ITIMER_REAL, CHECK_S, CHECK_S)  # not inherited by forked processes (setitimer(2))

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    try:
        yield unblock
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        unblock()
