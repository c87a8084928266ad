"""`make status`: each process with its port, memory and restarts."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlsplit

import psutil
from rich.console import Console
from rich.table import Table

from local.home import Home
from local.state import ProcessState, State
from local.supervised_process import answers_ready

COLUMNS = ("process", "state", "pid", "port", "memory MB", "restarts", "uptime")
CRASH_LOOP = "crash loop"
NUMBERS = ("pid", "port", "memory MB", "restarts", "uptime")


def status(home: Home) -> bool:
    """Prints the table and returns whether every process is ready."""
    processes = State.read(home.state_file).processes if home.supervisor_pid() else []
    if not processes:
        print("No mesh runs here. `make up` starts one.")
        return False
    with ThreadPoolExecutor() as threads:
        states = list(threads.map(describe, processes))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in NUMBERS else "left")
    for process, state in zip(processes, states, strict=True):
        style = {"ready": "green", "starting": "yellow", "waiting": "yellow"}.get(state, "red")
        table.add_row(process.name, f"[{style}]{state}[/]", *measure(process))
    console = Console()
    console.print(table)
    for process in (each for each, state in zip(processes, states, strict=True) if state == CRASH_LOOP):
        log = os.path.relpath(home.log(process.name))
        console.print(f"{process.name} crashed {process.crashes} times in a row; see its log: {log}", soft_wrap=True)
    return all(state == "ready" for state in states)


def describe(process: ProcessState) -> str:
    """Returns the state of a process: `crash loop`, `waiting` (for its next start), `starting`, `ready`, `not ready`
    (it was ready, and its /readyz fails now) or `stopped`.
    """
    if process.crashes_in_a_loop(time.time()):
        return CRASH_LOOP
    if process.pid is None:
        return "waiting"
    if not psutil.pid_exists(process.pid):
        return "stopped"
    if not process.ready:
        return "starting"
    if process.readyz_url and not answers_ready(urlsplit(process.readyz_url).port or 0):
        return "not ready"
    return "ready"


def measure(process: ProcessState) -> tuple[str, ...]:
    """Returns the cells of the row after the state."""
    if process.pid is None:
        return "", str(process.port), "", str(process.restarts), ""
    uptime = timedelta(seconds=int(time.time() - process.started_at))
    return str(process.pid), str(process.port), f"{memory_mb(process.pid):.0f}", str(process.restarts), str(uptime)


def memory_mb(pid: int) -> float:
    """Returns the resident memory of a process plus the unshared memory of its children, in MB (10^6 bytes)."""
    try:
        process = psutil.Process(pid)
        memory_bytes = process.memory_info().rss
        for child in process.children(recursive=True):
            memory_bytes += child.memory_full_info().uss
    except psutil.Error:  # one has just ended
        return 0.0
    return memory_bytes / 1e6
