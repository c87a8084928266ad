"""The supervisor, which keeps the processes of the local mesh running."""

import asyncio
import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from local import supervisor as supervisor_module
from local.child import Command
from local.errors import SetupError
from local.home import Home
from local.output import Console
from local.ports import free_ports
from local.state import CRASH_LOOP_MIN, STEADY_S, ProcessState, State
from local.supervised_process import MeshProcess
from local.supervisor import Supervisor, describe_end, end_leftovers

DUMMY = Path(__file__).with_name("dummy.py")
NAMES = ["first", "second", "third"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty folder for a mesh."""
    home = Home(tmp_path / "mesh")
    home.create()
    return home


@pytest.fixture
def console() -> Iterator[Console]:
    """A terminal that nobody looks at."""
    with Console(NAMES, io.BytesIO()) as console:
        yield console


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Returns the file to which each dummy that is asked to stop writes its port."""
    return tmp_path / "record"


def dummy(name: str, port: int, record: Path, *behaviour: str, stop_grace_s: float = 5.0) -> MeshProcess:
    """A process that runs dummy.py."""
    argv = (sys.executable, "-I", "-S", str(DUMMY), str(port), str(record), *behaviour)
    return MeshProcess(name, port, port, argv, {}, stop_grace_s)


def alive(pid: int) -> bool:
    """Returns whether the process runs. A zombie does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def test_a_process_that_is_killed_is_started_again(home: Home, record: Path) -> None:
    """After kill -9 a new process runs; the terminal shows that, and the state counts it."""
    terminal = io.BytesIO()
    [port] = free_ports(1)
    with Console(NAMES, terminal) as console:
        process = dummy("first", port, record)
        async with Supervisor(home, console, [process]) as supervisor:
            supervisor.start(process)
            await supervisor.ready(process)
            [before] = State.read(home.state_file).processes
            assert before.pid is not None
            os.kill(before.pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                while not (after := State.read(home.state_file).processes[0]).restarts or not after.ready:
                    await asyncio.sleep(0.02)
    assert after.restarts == 1
    assert after.pid != before.pid
    assert "first was killed by SIGKILL; starting it again in 0.2 s" in terminal.getvalue().decode()
    assert "first is ready again" in terminal.getvalue().decode()
    assert home.log("first").read_text().count(f"hello from {port}\n") == 2


async def test_a_process_that_can_not_start_for_a_while_ends_no_other(
    home: Home, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system has no room for it: the supervisor tries again, and reports the cause."""
    [port] = free_ports(1)
    output = io.BytesIO()
    failures = [OSError(errno.ENOSPC, "No space left on device")] * CRASH_LOOP_MIN + [
        OSError(errno.EAGAIN, "Try again")
    ]
    command = MeshProcess.command

    async def hindered(process: MeshProcess) -> Command:
        if State.read(home.state_file).processes[0].restarts and failures:
            raise failures.pop(0)
        return await command(process)

    monkeypatch.setattr(MeshProcess, "command", hindered)
    process = dummy("first", port, record)
    with Console(NAMES, output) as console:
        async with Supervisor(home, console, [process]) as supervisor:
            supervisor.start(process)
            await supervisor.ready(process)
            running = asyncio.create_task(supervisor.run())
            [before] = State.read(home.state_file).processes
            assert before.pid is not None
            os.kill(before.pid, signal.SIGKILL)
            async with asyncio.timeout(30):
                while not running.done() and (failures or not State.read(home.state_file).processes[0].ready):
                    await asyncio.sleep(0.02)
            assert not running.done()
            running.cancel()
    assert b"first can't be started: No space left on device; starting it again in" in output.getvalue()
    assert b"crash loop" not in output.getvalue(), "its log would not tell the cause"


async def test_a_process_whose_start_time_can_not_be_read_keeps_running(
    home: Home, console: Console, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor may have too many open files at that moment."""

    def refuse(_: psutil.Process) -> float:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(psutil.Process, "create_time", refuse)
    [port] = free_ports(1)
    process = dummy("first", port, record)
    async with Supervisor(home, console, [process]) as supervisor:
        supervisor.start(process)
        await supervisor.ready(process)


async def test_the_wait_for_a_start_makes_no_crash_a_stable_run(
    home: Home, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that crashes at once each time is in a crash loop, however long it could not be started."""
    clock = [0.0]
    command = MeshProcess.command

    async def delayed(process: MeshProcess) -> Command:
        clock[0] += 2 * STEADY_S
        return await command(process)

    monkeypatch.setattr(MeshProcess, "command", delayed)
    monkeypatch.setattr(supervisor_module, "time", SimpleNamespace(monotonic=lambda: clock[0], time=time.time))
    [port] = free_ports(1)
    process = dummy("first", port, record, "die-later")
    crash_loop = "first is in a crash loop"
    before, _, _ = (await run_until_said(home, io.BytesIO(), process, crash_loop, 1)).partition(crash_loop)
    assert before.count("starting it again in") == CRASH_LOOP_MIN


async def test_groups_stop_in_reverse_order(home: Home, console: Console, record: Path) -> None:
    """The group that was started last has ended before the one before it is asked to stop."""
    ports = free_ports(3)
    processes = [dummy(name, port, record) for name, port in zip(NAMES, ports, strict=True)]
    async with Supervisor(home, console, processes) as supervisor:
        for process in processes:
            supervisor.start(process)
        await supervisor.ready(*processes)
    assert record.read_text().split() == [str(port) for port in reversed(ports)]


async def test_a_part_that_has_not_started_yet_is_in_the_state(home: Home, console: Console, record: Path) -> None:
    """While the first group is ready and the second has not begun, nobody can take the whole for ready."""
    first, second = (dummy(name, port, record) for name, port in zip(NAMES, free_ports(2), strict=False))
    async with Supervisor(home, console, [first, second]) as supervisor:
        supervisor.start(first)
        await supervisor.ready(first)
        states = State.read(home.state_file).processes
    assert [(state.name, state.ready) for state in states] == [("first", True), ("second", False)]


@pytest.mark.parametrize("is_restarting", [False, True])
async def test_a_process_that_does_not_stop_is_killed(
    home: Home, console: Console, record: Path, *, is_restarting: bool
) -> None:
    """A process that ignores SIGTERM is killed after its grace period, also if that is for a restart when the mesh
    stops.
    """
    [port] = free_ports(1)
    process = dummy("first", port, record, "deaf", stop_grace_s=1.0 if is_restarting else 0.1)
    async with Supervisor(home, console, [process]) as supervisor:
        supervisor.start(process)
        await supervisor.ready(process)
        [state] = State.read(home.state_file).processes
        if is_restarting:
            supervisor.restart("first")
            await asyncio.sleep(0.3)
    assert state.pid is not None
    assert not alive(state.pid)


async def test_a_restart_that_was_asked_for_is_no_crash(home: Home, console: Console, record: Path) -> None:
    """A requested restart stops the process in order, starts another at once, and counts neither as restart nor as
    crash.
    """
    [port] = free_ports(1)
    process = dummy("first", port, record)
    async with Supervisor(home, console, [process]) as supervisor:
        supervisor.start(process)
        await supervisor.ready(process)
        [before] = State.read(home.state_file).processes
        supervisor.restart("first", "unknown")
        async with asyncio.timeout(30):
            while (after := State.read(home.state_file).processes[0]).pid == before.pid or not after.ready:
                await asyncio.sleep(0.02)
        assert record.read_text().split() == [str(port)]
    assert (after.restarts, after.crashes) == (0, 0)


async def run_until_said(home: Home, terminal: io.BytesIO, process: MeshProcess, text: str, times: int) -> str:
    """Runs the process until the terminal has shown `text` this many times. Returns the output until then."""
    with Console(NAMES, terminal) as console:
        async with asyncio.timeout(60), Supervisor(home, console, [process]) as supervisor:
            supervisor.start(process)
            await supervisor.ready(process)
            while (said := terminal.getvalue().decode()).count(text) < times:
                await asyncio.sleep(0.01)
    return said


async def test_a_removed_folder_of_logs_is_made_anew(home: Home, console: Console, record: Path) -> None:
    """A process is restarted after its log was removed with its folder, and logs again."""
    [port] = free_ports(1)
    process = dummy("first", port, record)
    async with asyncio.timeout(30), Supervisor(home, console, [process]) as supervisor:
        supervisor.start(process)
        await supervisor.ready(process)
        home.log("first").unlink()
        home.log("first").parent.rmdir()
        supervisor.restart("first")
        while not home.log("first").exists() or f"hello from {port}" not in home.log("first").read_text():
            await asyncio.sleep(0.02)


async def test_an_output_that_does_not_end_delays_no_restart_for_ever(home: Home, record: Path) -> None:
    """A killed process is restarted although another one has inherited its output."""
    [port] = free_ports(1)
    process = dummy("first", port, record, "heir", stop_grace_s=0.1)
    with Console(NAMES, io.BytesIO()) as console:
        async with asyncio.timeout(30), Supervisor(home, console, [process]) as supervisor:
            supervisor.start(process)
            await supervisor.ready(process)
            [before] = State.read(home.state_file).processes
            assert before.pid is not None
            os.kill(before.pid, signal.SIGKILL)
            while not (after := State.read(home.state_file).processes[0]).restarts or not after.ready:
                await asyncio.sleep(0.02)
    for line in home.log("first").read_text().splitlines():
        if line.startswith("heir "):
            os.kill(int(line.removeprefix("heir ")), signal.SIGKILL)


async def test_a_mesh_without_its_folder_keeps_running(home: Home, record: Path) -> None:
    """A state that can't be saved is reported, and ends nothing."""
    [port] = free_ports(1)
    terminal = io.BytesIO()
    with Console(NAMES, terminal) as console:
        process = dummy("first", port, record)
        async with asyncio.timeout(30), Supervisor(home, console, [process]) as supervisor:
            supervisor.start(process)
            await supervisor.ready(process)
            shutil.rmtree(home.folder)
            supervisor.restart("first")
            while "first is ready again" not in terminal.getvalue().decode():
                await asyncio.sleep(0.02)
    assert "the state can't be saved ([Errno 2] No such file or directory" in terminal.getvalue().decode()


async def test_crashes_add_up(home: Home, record: Path) -> None:
    """The pause grows with each crash; after several the process is reported as in a crash loop, with its log."""
    [port] = free_ports(1)
    process = dummy("first", port, record, "die-later")
    said = await run_until_said(home, io.BytesIO(), process, "first is in a crash loop", 1)
    pauses = [line.rpartition(" in ")[2] for line in said.splitlines() if "starting it again" in line]
    assert pauses == ["0.2 s", "0.4 s", "0.8 s"]
    assert f"first is in a crash loop; see its log: {home.log('first')}" in said
    assert State.read(home.state_file).processes[0].crashes == CRASH_LOOP_MIN


async def test_an_exit_with_0_is_no_crash(home: Home, record: Path) -> None:
    """The pause before the next start stays the shortest."""
    [port] = free_ports(1)
    process = dummy("first", port, record, "leave")
    await run_until_said(home, io.BytesIO(), process, "first stopped with exit code 0; starting it again in 0.2 s", 3)
    assert State.read(home.state_file).processes[0].crashes == 0


@pytest.mark.parametrize(
    ("exit_code", "end"),
    [
        (7, "stopped with exit code 7"),
        (-signal.SIGSEGV, "was killed by SIGSEGV"),
        (-35, "was killed by signal 35"),
    ],
)
def test_each_end_has_a_description(exit_code: int, end: str) -> None:
    """A real-time signal has no name, so its number is shown."""
    assert describe_end(exit_code) == end


async def test_one_that_never_gets_ready_is_given_up(home: Home, console: Console, record: Path) -> None:
    """A process that ends repeatedly before it is ready is an error with its exit and its log."""
    [port] = free_ports(1)
    process = dummy("first", port, record, "die")
    async with Supervisor(home, console, [process]) as supervisor:
        supervisor.start(process)
        with pytest.raises(SetupError, match=f"first stopped with exit code 7 3 times .* {home.log('first')}"):
            await supervisor.ready(process)


async def test_nothing_survives_a_killed_supervisor(home: Home, record: Path) -> None:
    """When the supervisor is killed with -9, its processes end too (Linux)."""
    [port] = free_ports(1)
    program = f"""
import asyncio, pathlib
from local.home import Home
from local.output import Console
from local.supervisor import Supervisor
from tests.local.test_supervisor import dummy

async def main():
    home = Home(pathlib.Path({str(home.folder)!r}))
    process = dummy("first", {port}, pathlib.Path({str(record)!r}), "deaf")
    async with Supervisor(home, Console(["first"]), [process]) as supervisor:
        supervisor.start(process)
        await supervisor.ready(process)
        print("ready", flush=True)
        await supervisor.run()

asyncio.run(main())
"""
    root = Path(__file__).parents[2]
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program), cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    while await parent.stdout.readline() != b"ready\n":
        assert not parent.stdout.at_eof()
    [state] = State.read(home.state_file).processes
    assert state.pid is not None
    assert alive(state.pid)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(30):
        while alive(state.pid):
            await asyncio.sleep(0.02)


def test_leftovers_are_ended_and_strangers_are_not() -> None:
    """A process of an earlier supervisor is ended; one that only has the same id, and began at another time, is not."""
    with subprocess.Popen(["sleep", "60"]) as ours, subprocess.Popen(["sleep", "60"]) as stranger:
        states = [
            ProcessState("ours", 1, pid=ours.pid, started_at=psutil.Process(ours.pid).create_time()),
            ProcessState("stranger", 2, pid=stranger.pid, started_at=1.0),
        ]
        end_leftovers(states, grace_s=10)
        assert not psutil.pid_exists(ours.pid)
        assert stranger.poll() is None
        stranger.kill()


def test_a_leftover_may_end_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even at the moment when it is to be ended."""
    send_signal = psutil.Process.send_signal
    with subprocess.Popen(["sleep", "60"]) as ours:

        def send_too_late(process: psutil.Process, number: int) -> None:
            ours.kill()
            ours.wait()
            send_signal(process, number)

        monkeypatch.setattr(psutil.Process, "send_signal", send_too_late)
        end_leftovers(
            [ProcessState("ours", 1, pid=ours.pid, started_at=psutil.Process(ours.pid).create_time())], grace_s=10
        )
