"""`make status`."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from local.home import Home
from local.state import ProcessState, State
from local.status import describe, memory_mb, status


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty folder for a mesh."""
    home = Home(tmp_path / "mesh")
    home.create()
    return home


def ourselves(**fields: object) -> ProcessState:
    """The state of a process that runs: this one."""
    state = ProcessState("orders", 9003, pid=os.getpid(), started_at=psutil.Process().create_time(), ready=True)
    for name, value in fields.items():
        setattr(state, name, value)
    return state


def test_nothing_runs(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a supervisor the status is not ready, even if a killed supervisor left a state file."""
    State([ourselves()]).write(home.state_file)
    assert status(home) is False
    assert capsys.readouterr().out == "No mesh runs here. `make up` starts one.\n"


@pytest.mark.parametrize(
    "content", ["", '{"processes": [{"na', "[]", "null", "{}", '{"processes": [{"title": "orders"}]}']
)
def test_a_state_of_another_form_is_none(home: Home, content: str) -> None:
    """A file that was cut off, or written by another version of the mesh, is no reason not to start."""
    home.state_file.write_text(content)
    assert State.read(home.state_file) == State()


def test_all_are_ready(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Each process has a line with its state, process id, port and restarts."""
    with home.lock():
        State([ourselves(restarts=3)]).write(home.state_file)
        assert status(home) is True
    cells = capsys.readouterr().out.splitlines()[1].split()
    assert cells[:4] == ["orders", "ready", str(os.getpid()), "9003"]
    assert cells[5] == "3"


def test_one_that_waits_for_its_start_makes_it_not_ready(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """One process that does not run makes the exit status 1."""
    with home.lock():
        State([ourselves(), ProcessState("edge", 8080, restarts=1)]).write(home.state_file)
        assert status(home) is False
    assert capsys.readouterr().out.splitlines()[2].split() == ["edge", "waiting", "8080", "1"]


def test_a_crash_loop_is_called_one(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A crash loop is shown with its log while the process waits or has just started, and ends after a steady run."""
    waiting = ProcessState("orders", 9003, restarts=4, crashes=3)
    with home.lock():
        State([waiting]).write(home.state_file)
        assert status(home) is False
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split()[:3] == ["orders", "crash", "loop"]
    assert shown[2].startswith("orders crashed 3 times in a row; see its log: ")
    assert describe(ourselves(crashes=3, started_at=time.time())) == "crash loop"
    assert describe(ourselves(crashes=3, started_at=time.time() - 60)) == "ready"
    assert describe(ourselves(crashes=2, started_at=time.time())) == "ready"


async def test_a_process_knows_itself_whether_it_is_ready() -> None:
    """A process whose /readyz answers 503 or not at all is not ready, even if it was ready before."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answer_once, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/readyz"
        assert await asyncio.to_thread(describe, ourselves(readyz_url=url)) == "ready"
        assert await asyncio.to_thread(describe, ourselves(readyz_url=url, ready=False)) == "starting"
        answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
        assert await asyncio.to_thread(describe, ourselves(readyz_url=url)) == "not ready"
    assert await asyncio.to_thread(describe, ourselves(readyz_url=url)) == "not ready"


def test_memory_is_in_megabytes() -> None:
    """The memory is the resident set in megabytes; that of an ended process is 0."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b".")
        assert process.stdout.read(1) == b".", "it has started, and takes no more memory"
        resident_mb = psutil.Process(process.pid).memory_info().rss / 1e6
        assert memory_mb(process.pid) == pytest.approx(resident_mb, rel=0.2)
    assert memory_mb(process.pid) == 0.0
