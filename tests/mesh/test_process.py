"""The life cycle of processes: real ones are started, stopped and made to fail."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
import asyncio, contextlib, sys
from mesh.errors import Unavailable
from mesh.process import Process, run
from mesh.settings import ProcessSettings

@contextlib.asynccontextmanager
async def part(name):
    print("open", name, flush=True)
    try:
        yield name
    finally:
        print("close", name, flush=True)

async def wire(process: Process, settings: ProcessSettings) -> None:
    await process.enter(part("database"))
    await process.enter(part("server"))
    {body}
    print("wired", flush=True)

run("test", ProcessSettings, wire)
"""


def start(body: str, **environment: str) -> "subprocess.Popen[str]":
    """Starts a process of the mesh whose wiring ends with `body`."""
    paths = f"{ROOT}:{ROOT / 'gen'}"
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM).replace("{body}", body)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths, "OPS_PORT": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(process: "subprocess.Popen[str]", line: str) -> None:
    """Reads the output of the process up to this line."""
    assert process.stdout is not None
    for seen in process.stdout:
        if seen.strip() == line:
            return
    raise AssertionError(f"ended before it said {line!r}: {process.communicate()[1]}")


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_ends_well(signum: signal.Signals) -> None:
    """Components are closed in reverse order, and the exit status is 0."""
    process = start("pass")
    wait_for(process, "wired")
    process.send_signal(signum)
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output.split("\n")[:2]) == (0, ["close server", "close database"]), errors


def test_a_signal_during_the_start_ends_it(tmp_path: Path) -> None:
    """A process that still waits at its start can be stopped, and closes what it has opened."""
    process = start("print('waiting', flush=True); await asyncio.sleep(3600)")
    wait_for(process, "waiting")
    process.terminate()
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output.split("\n")[:2]) == (0, ["close server", "close database"]), errors


def test_a_failed_background_task_ends_the_process() -> None:
    """The process stops with status 1 and logs which task failed."""
    body = "async def work(): raise ValueError('boom')\n    process.spawn(work(), name='relay')"
    process = start(body)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "close database" in output
    assert "task failed" in errors
    assert "relay" in errors


def test_a_mesh_error_at_the_start_is_printed_without_a_traceback() -> None:
    """An error that an operator can fix is printed as its message."""
    process = start("raise Unavailable('The database has no schema. Run the migrations first.')")
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "test: The database has no schema. Run the migrations first." in errors
    assert "Traceback" not in errors


def test_a_drained_process_ends_at_once() -> None:
    """Buffered logs are written, and objects in memory are not destroyed one by one."""
    holding = "logging.getLogger().addHandler(MemoryHandler(9, target=logging.StreamHandler(sys.stdout)))"
    body = f"""global kept
    import logging
    from logging.handlers import MemoryHandler
    kept = type('Kept', (), {{'__del__': lambda self: print('taken apart', flush=True)}})()
    {holding}
    logging.getLogger().warning('held back')"""
    process = start(body)
    wait_for(process, "wired")
    process.terminate()
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "held back" in output
    assert "close database" in output
    assert "taken apart" not in output


def test_an_unexpected_error_at_the_start_is_logged() -> None:
    """It is logged with its traceback, the status is 1, and open components are closed."""
    process = start("raise LookupError('boom')")
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "close database" in output
    assert "process failed" in errors
    assert "LookupError" in errors


def test_an_invalid_setting_is_a_message() -> None:
    """The process stops before it opens anything."""
    process = start("pass", OPS_PORT="no")
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output) == (2, "")
    assert "OPS_PORT: must be a whole number from 0 to 65535" in errors
