"""The measured programs, each in its own process."""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import psutil

ROOT: Final = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def program(
    *arguments: object,
    stdout: int = subprocess.DEVNULL,
    stderr: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs one of our Python programs during the block, without logs of calls, which are not measured. `environment`
    has additional variables.
    """
    many = {"CONNECTIONS_MAX": "100000", "CONCURRENT_STREAMS_MAX": "100000"}
    own = many | {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "LOG_LEVEL": "error"} | dict(environment or {})
    with running([sys.executable, *map(str, arguments)], own, stdout, stderr) as process:
        yield process


@contextlib.contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    stdout: int = subprocess.DEVNULL,
    stderr: IO[bytes] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a command during the block, with additional variables of the environment."""
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | dict(environment), stdout=stdout, stderr=stderr)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def fronts(image: Path, upstream: int, port: int, folder: Path) -> dict[str, list[object]]:
    """Returns the arguments of the compared programs: the edge, and Envoy's transcoder if its wheel is installed."""
    edge = ["-m", "edge", "--contracts", image, "--upstream", f"*=127.0.0.1:{upstream}", "--port", port]
    envoy = ["-m", "benchmarks.envoy", image, upstream, port, folder]
    return {"edge": edge, "Envoy": envoy} if importlib.util.find_spec("envoy") is not None else {"edge": edge}


def printed_port(process: "subprocess.Popen[bytes]") -> int:
    """Returns the port that a program prints first, whose standard output is a pipe."""
    assert process.stdout is not None, "run with stdout=PIPE"
    return int(process.stdout.readline())


def cpu_s(process: psutil.Process) -> float:
    """Returns the CPU time that a process has used so far, in seconds."""
    times = process.cpu_times()
    return float(times.user + times.system)


def family(pid: int) -> tuple[psutil.Process, ...]:
    """Returns a process and its descendants."""
    root = psutil.Process(pid)
    return (root, *root.children(recursive=True))


def tree_cpu_s(pid: int) -> float:
    """Returns the CPU time that a process, its descendants, and those that have ended have used so far, in seconds."""
    used_s = 0.0
    for process in family(pid):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended; its parent's children_* have its time
            used_s += sum(process.cpu_times()[:4])
    return used_s


def tree_rss_mb(pid: int) -> float:
    """Returns the resident memory of a process and its descendants, in MB."""
    return sum(float(process.memory_info().rss) for process in family(pid)) / 1e6
