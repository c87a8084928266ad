"""`make restart`."""

import asyncio
import contextlib
import io
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local.errors import SetupError
from local.home import Home
from local.output import Console
from local.ports import free_ports
from local.restart import restart
from local.state import ProcessState, State
from local.supervised_process import MeshProcess
from local.supervisor import Supervisor

DUMMY = Path(__file__).with_name("dummy.py")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty folder for a mesh."""
    home = Home(tmp_path / "mesh")
    home.create()
    return home


@contextlib.asynccontextmanager
async def supervised(home: Home, tmp_path: Path, *names: str) -> AsyncIterator[None]:
    """A supervisor in this process, with processes of these names, that takes requests as `make up` does."""
    processes = []
    for name, port in zip(names, free_ports(len(names)), strict=True):
        argv = (sys.executable, "-I", "-S", str(DUMMY), str(port), str(tmp_path / "stopped"))
        processes.append(MeshProcess(name, port, port, argv, {}))
    loop = asyncio.get_running_loop()
    with home.lock(), Console(list(names), io.BytesIO()) as console:
        async with Supervisor(home, console, processes) as supervisor:
            loop.add_signal_handler(signal.SIGUSR1, lambda: supervisor.restart(*home.take_restarts()))
            supervisor.start(*processes)
            await supervisor.ready(*processes)
            yield
            loop.remove_signal_handler(signal.SIGUSR1)


@pytest.fixture
async def running(home: Home, tmp_path: Path) -> AsyncIterator[None]:
    """Such a supervisor with the process orders."""
    async with supervised(home, tmp_path, "orders"):
        yield


@pytest.mark.usefixtures("running")
async def test_it_returns_when_the_process_runs_anew(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The command returns when a new process is ready, and prints its id."""
    [before] = State.read(home.state_file).processes
    await asyncio.to_thread(restart, home, "orders")
    [after] = State.read(home.state_file).processes
    assert after.pid != before.pid
    assert after.ready
    assert capsys.readouterr().out == f"orders was restarted as process {after.pid}.\n"
    assert home.take_restarts() == []


async def test_requests_at_the_same_time_are_all_met(home: Home, tmp_path: Path) -> None:
    """One signal may stand for several requests: each of their processes runs anew."""
    names = ("catalog", "orders", "payments")
    async with supervised(home, tmp_path, *names):
        before = {process.pid for process in State.read(home.state_file).processes}
        for name in names:
            home.request_restart(name)
        await asyncio.to_thread(restart, home, "orders")
        async with asyncio.timeout(30):
            while {process.pid for process in State.read(home.state_file).processes if process.ready} & before:
                await asyncio.sleep(0.02)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("name", ["order", None])
async def test_an_unknown_process_is_a_sentence(home: Home, name: str | None) -> None:
    """The error lists the processes that exist."""
    with pytest.raises(SetupError, match=r"make restart SERVICE=<name> with one of: orders$"):
        restart(home, name)


async def test_a_name_may_be_written_as_its_folder(
    home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The process of services/order_items is order-items; both spellings restart it."""
    async with supervised(home, tmp_path, "order-items"):
        for name in ("order_items", "order-items"):
            await asyncio.to_thread(restart, home, name)
            assert capsys.readouterr().out.startswith("order-items was restarted as process ")


def test_nothing_runs(home: Home) -> None:
    """A restart fails with an error if no mesh runs."""
    with pytest.raises(SetupError, match="No mesh runs here"):
        restart(home, "orders")


def test_a_mesh_that_stops_meanwhile_is_a_sentence(home: Home) -> None:
    """The supervisor removes the state as its last step; the request that came too late says so."""
    with home.lock():
        with pytest.raises(SetupError, match=r"^The mesh is starting or stopping\."):
            restart(home, "orders")
        State([ProcessState("orders", 9003)]).write(home.state_file)
        before = signal.signal(signal.SIGUSR1, lambda *_: home.state_file.unlink())
        try:
            with pytest.raises(SetupError, match=r"^The mesh has stopped in the meantime\.$"):
                restart(home, "orders")
        finally:
            signal.signal(signal.SIGUSR1, before)
