"""`make restart`: makes the supervisor restart one of its processes."""

import os
import signal
import time

from local.declarations.service import workload_name
from local.errors import SetupError
from local.home import Home
from local.state import ProcessState, State

TIMEOUT_S = 60.0
POLL_S = 0.05
STOPPED = "The mesh has stopped in the meantime."


def restart(home: Home, name: str | None) -> None:
    """Requests the restart of a process and waits until it is ready. Raises SetupError if it fails or is unknown."""
    supervisor = home.supervisor_pid()
    if supervisor is None:
        raise SetupError("No mesh runs here. `make up` starts one.")
    name = name and workload_name(name)
    processes = {process.name: process for process in State.read(home.state_file).processes}
    if not processes:
        raise SetupError("The mesh is starting or stopping. `make status` shows its processes once it runs.")
    if name not in processes:
        raise SetupError(
            f"SERVICE is missing or unknown. Run make restart SERVICE=<name> with one of: {', '.join(processes)}"
        )
    before = processes[name]
    home.request_restart(name)
    try:
        os.kill(supervisor, signal.SIGUSR1)
    except ProcessLookupError:
        raise SetupError(STOPPED) from None
    deadline_s = time.monotonic() + TIMEOUT_S
    while not _is_anew(process := _process(home, name), before):
        if process.restarts > before.restarts:
            raise SetupError(f"{name} ended before it was ready; see its log: {home.log(name)}")
        if home.supervisor_pid() != supervisor:
            raise SetupError(STOPPED)
        if time.monotonic() > deadline_s:
            raise SetupError(f"{name} is not ready after {TIMEOUT_S:.0f} s; see its log: {home.log(name)}")
        time.sleep(POLL_S)
    print(f"{name} was restarted as process {process.pid}.")


def _process(home: Home, name: str) -> ProcessState:
    """Returns the state of a process. Raises SetupError if the mesh has removed its state, as its last step."""
    for process in State.read(home.state_file).processes:
        if process.name == name:
            return process
    raise SetupError(STOPPED)


def _is_anew(process: ProcessState, before: ProcessState) -> bool:
    return process.ready and process.pid != before.pid
