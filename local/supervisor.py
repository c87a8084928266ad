"""The supervisor of a local mesh, which starts processes in groups, restarts them, and stops them in reverse order."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self

import psutil

from local.child import Child
from local.errors import SetupError
from local.home import Home
from local.output import Console, LogFile
from local.state import CRASH_LOOP_MIN, STEADY_S, ProcessState, State
from local.supervised_process import SupervisedProcess

READY_TIMEOUT_S = 60.0
READY_POLL_S = 0.1
EARLY_ENDS_MAX = 3  # ends before it was ever ready; then it gives up
RESTART_PAUSE_S_MIN = 0.2
RESTART_PAUSE_S_MAX = 10.0


class Supervisor:
    """A context that keeps processes running from their `start` to its exit, which stops them, the last group first.

    The state lists all processes from the beginning, so that a partly started mesh does not look ready.
    """

    def __init__(self, home: Home, console: Console, processes: Sequence[SupervisedProcess]) -> None:
        self._home = home
        self._console = console
        self._groups: list[list[asyncio.Task[None]]] = []
        self._restart_loops = {process.name: RestartLoop(process, home, console, self.save) for process in processes}

    def start(self, *processes: SupervisedProcess) -> None:
        """Starts a group of processes at the same time."""
        self._groups.append([asyncio.create_task(self._restart_loops[process.name].run()) for process in processes])

    async def ready(self, *processes: SupervisedProcess) -> None:
        """Waits until these processes are ready. Raises SetupError if one takes too long or ends repeatedly."""
        loops = [self._restart_loops[process.name] for process in processes]
        all_ready = asyncio.create_task(_all_ready(loops))
        try:
            await asyncio.wait(
                {all_ready, *self._tasks()}, timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
            )
            self._raise_failure()
            late = [str(self._home.log(loop.state.name)) for loop in loops if not loop.was_ready.is_set()]
            if late:
                raise SetupError(f"Not ready within {READY_TIMEOUT_S:.0f} s; see their logs: {', '.join(late)}")
        finally:
            all_ready.cancel()

    def restart(self, *names: str) -> None:
        """Restarts the processes with these names. Ignores unknown names."""
        for name in names:
            if name in self._restart_loops:
                self._restart_loops[name].restart()

    async def run(self) -> None:
        """Keeps all processes running forever. Raises the error for which a process cannot be restarted."""
        await asyncio.wait(self._tasks(), return_when=asyncio.FIRST_COMPLETED)
        self._raise_failure()

    def save(self) -> None:
        """Writes the state to its file. If that fails, as on a full disk, the old state stays, and the processes keep
        running.
        """
        try:
            State([loop.state for loop in self._restart_loops.values()]).write(self._home.state_file)
        except OSError as error:
            self._console.report(f"the state can't be saved ({error}); `make status` shows the last saved one")

    async def __aenter__(self) -> Self:
        self.save()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._console.report("stopping")
        for group in reversed(self._groups):
            for task in group:
                task.cancel()
            await asyncio.wait(group)

    def _raise_failure(self) -> None:
        for task in self._tasks():
            if task.done():
                task.result()

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [task for group in self._groups for task in group]


class RestartLoop:
    """The loop that keeps one process running."""

    def __init__(self, process: SupervisedProcess, home: Home, console: Console, save: Callable[[], None]) -> None:
        self._process = process
        self._console = console
        self._save = save
        self._log_path = home.log(process.name)
        self.state = ProcessState(process.name, process.port, process.readyz_url)
        self.was_ready = asyncio.Event()
        self._restart_requested = asyncio.Event()

    def restart(self) -> None:
        """Requests an immediate restart, also while the process waits for its next start."""
        self._restart_requested.set()

    async def run(self) -> None:
        """Starts the process, and again whenever it ends, until cancelled. Raises SetupError if it never gets ready."""
        while True:
            child = await self._start()
            started_s = time.monotonic()
            exit_code = await self._attend(child)
            if exit_code is None:
                self.state.crashes = 0
                continue
            self.state.restarts += 1
            steady = time.monotonic() - started_s > STEADY_S
            # An exit code of 0 means that someone stopped it on purpose: no crash, no longer pause.
            self.state.crashes = 0 if exit_code == 0 else 1 if steady else self.state.crashes + 1
            self._save()
            if not self.was_ready.is_set() and self.state.restarts == EARLY_ENDS_MAX:
                raise SetupError(
                    f"{self.state.name} {describe_end(exit_code)} {EARLY_ENDS_MAX} times before it was ready; "
                    f"see its log: {self._log_path}"
                )
            pause_s = self._announce_start(describe_end(exit_code), self.state.crashes)
            if self.state.crashes == CRASH_LOOP_MIN:
                self._console.report(f"{self.state.name} is in a crash loop; see its log: {self._log_path}")
            if await self._pause(pause_s):
                self.state.crashes = 0

    def _announce_start(self, cause: str, failures: int) -> float:
        """Returns the pause before the next start, which is longer after each failure, and reports it with its cause, a
        predicate.
        """
        pause_s: float = min(RESTART_PAUSE_S_MIN * 2 ** max(failures - 1, 0), RESTART_PAUSE_S_MAX)
        self._console.report(f"{self.state.name} {cause}; starting it again in {pause_s:g} s")
        return pause_s

    async def _pause(self, pause_s: float) -> bool:
        """Waits, but only until a restart is requested. Returns whether it was."""
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                return await self._restart_requested.wait()
        return False

    async def _attend(self, child: Child) -> int | None:
        """Waits for the end of the process. Returns its exit code, or None if it was stopped for a restart. Stops the
        process when cancelled.
        """
        async with asyncio.TaskGroup() as watchers:
            copying = watchers.create_task(self._copy_output(child))
            becoming_ready = watchers.create_task(self._await_ready(child))
            requested = watchers.create_task(self._restart_requested.wait())
            ended = watchers.create_task(child.wait())
            try:
                self.state.pid = child.pid
                self.state.started_at = _start_time(child.pid)
                self._save()
                await asyncio.wait({ended, requested}, return_when=asyncio.FIRST_COMPLETED)
                return None if requested.done() else ended.result()
            finally:
                becoming_ready.cancel()
                requested.cancel()
                stopping = asyncio.create_task(self._stop(child, copying))
                try:
                    await asyncio.shield(stopping)
                finally:
                    await stopping  # also if the mesh stops meanwhile
                    copying.cancel()

    async def _start(self) -> Child:
        """Starts the process. Once it has been ready, tries again if the system has no room for it: for a full disk, or
        too many processes or files, the others need not end. These failures are no crashes: no log tells of them.
        """
        failures = 0
        while True:
            self._restart_requested.clear()
            try:
                return await Child.start(await self._process.command())
            except OSError as error:
                if not self.was_ready.is_set():
                    raise
                failures += 1
                if await self._pause(self._announce_start(f"can't be started: {error.strerror}", failures)):
                    failures = 0

    async def _stop(self, child: Child, copying: asyncio.Task[None]) -> None:
        """Stops a process, and waits for the end of its output."""
        await child.stop(self._process.stop_grace_s)
        self.state.pid, self.state.ready = None, False
        # PostgreSQL's backends hold its output while they end, and it can't start beside them. But a process that is
        # left of one that was killed may hold the output for ever.
        await asyncio.wait({copying}, timeout=self._process.stop_grace_s)

    async def _await_ready(self, child: Child) -> None:
        while not await self._process.ready(child.pid):
            await asyncio.sleep(READY_POLL_S)
        self.state.ready = True
        self._save()
        if self.state.restarts or self.was_ready.is_set():
            self._console.report(f"{self.state.name} is ready again")
        self.was_ready.set()

    async def _copy_output(self, child: Child) -> None:
        log = LogFile(self._log_path)
        try:
            async for line in child.lines():
                log.write(line)
                if not self._process.quiet:
                    self._console.line(self.state.name, line)
        finally:
            log.close()


async def _all_ready(loops: Sequence[RestartLoop]) -> None:
    for loop in loops:
        await loop.was_ready.wait()


def _start_time(pid: int) -> float:
    """Returns when the process started, in seconds since the epoch; now, if the system can't tell."""
    try:
        started_at: float = psutil.Process(pid).create_time()
    except (psutil.Error, OSError):  # it has ended already, or there are too many open files
        return time.time()
    return started_at


def describe_end(exit_code: int) -> str:
    """Describes the end of a process as a predicate, such as "was killed by SIGKILL"."""
    if exit_code < 0:
        names = {number.value: number.name for number in signal.Signals}
        return f"was killed by {names.get(-exit_code, f'signal {-exit_code}')}"  # as most real-time signals
    return f"stopped with exit code {exit_code}"


def end_leftovers(processes: Sequence[ProcessState], grace_s: float) -> None:
    """Ends the processes that a killed supervisor left behind. Spares newer processes that reuse one of the ids.

    SIGINT stops all our processes; on SIGTERM, PostgreSQL would wait for its clients.
    """
    leftovers = []
    for state in processes:
        with suppress(psutil.NoSuchProcess):  # it may end by itself at any time
            if state.pid and (process := psutil.Process(state.pid)).create_time() == state.started_at:
                process.send_signal(signal.SIGINT)
                leftovers.append(process)
    _, stubborn = psutil.wait_procs(leftovers, timeout=grace_s)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=grace_s)
