"""The restart of processes when their code changes."""

import asyncio
import contextlib
import io
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from local.errors import SetupError
from local.file_watcher import FileWatcher
from local.home import Home
from local.output import Console
from local.ports import free_ports
from local.reload import Reloader
from local.state import ProcessState, State
from local.supervised_process import MeshProcess
from local.supervisor import Supervisor

DUMMY = Path(__file__).with_name("dummy.py")
NAMES = ["orders", "catalog", "edge"]


@dataclass(frozen=True, slots=True)
class DummyProcess(MeshProcess):
    """A dummy in the place of a module."""

    module: str = ""

    @property
    def code(self) -> Path:
        return Path(*self.module.split("."))


@dataclass
class Steps:
    """The recorded steps after a change, in their order."""

    root: Path
    done: list[str] = field(default_factory=list)
    failure: str = ""

    async def generate(self) -> None:
        """Write gen/, as `make generate` does."""
        self.done.append("generate")
        if self.failure:
            raise SetupError(self.failure)
        contract = (self.root / "proto" / "orders.proto").read_text()
        for name in ("orders_pb.py", "contracts.binpb"):
            path = self.root / "gen" / name
            path.unlink(missing_ok=True)
            path.write_text(contract)

    async def prepare(self) -> None:
        """Prepares nothing."""
        self.done.append("prepare")


@dataclass
class Running:
    """Real processes under a supervisor, and the code that they declare as theirs."""

    root: Path
    home: Home
    steps: Steps
    terminal: io.BytesIO

    def write(self, path: str, text: str) -> None:
        """Change a file."""
        (self.root / path).write_text(text)

    def processes(self) -> dict[str, ProcessState]:
        """The processes by name."""
        return {state.name: state for state in State.read(self.home.state_file).processes}

    def pids(self) -> dict[str, int | None]:
        """The process ids by name."""
        return {name: state.pid for name, state in self.processes().items()}

    async def restarted(self, before: dict[str, int | None], *names: str) -> None:
        """Wait until these run as other processes, and check that no other does."""
        while any(not self.processes()[name].ready or self.pids()[name] == before[name] for name in names):
            await asyncio.sleep(0.02)
        assert {name for name, pid in self.pids().items() if pid != before[name]} == set(names)

    async def said(self, text: str) -> None:
        """Wait until this is on the terminal."""
        while text not in self.terminal.getvalue().decode():
            await asyncio.sleep(0.02)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """Three processes, each with files of its own, one that all share, and one that is made of the contract."""
    root, home, terminal = tmp_path / "project", Home(tmp_path / "mesh"), io.BytesIO()
    home.create()
    for path in ("services/orders/handlers.py", "services/catalog/handlers.py", "edge/app.py", "mesh/errors.py"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text("one = 1\n")
    (root / "services/orders/__main__.py").write_text("import orders_pb\nfrom mesh.errors import one\n")
    (root / "services/catalog/__main__.py").write_text("def main():\n    from mesh import errors\n")
    (root / "edge/__main__.py").write_text("from edge import app\nfrom mesh.errors import (  # all\n    one,\n)\n")
    for path in ("proto/orders.proto", "gen/orders_pb.py"):
        (root / path).parent.mkdir()
        (root / path).write_text("# one\n")
    modules = ["services.orders", "services.catalog", "edge"]
    processes = [
        DummyProcess(
            name, port, port, (sys.executable, "-I", "-S", str(DUMMY), str(port), str(tmp_path / "stopped")), {},
            module=module,
        )
        for name, module, port in zip(NAMES, modules, free_ports(3), strict=True)
    ]  # fmt: skip
    steps = Steps(root)
    with Console(NAMES, terminal) as console:
        async with asyncio.timeout(60), Supervisor(home, console, processes) as supervisor:
            supervisor.start(*processes)
            await supervisor.ready(*processes)
            reloading = asyncio.create_task(Reloader(root, processes, steps, supervisor.restart, console.report).run())
            yield Running(root, home, steps, terminal)
            reloading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reloading


async def test_only_the_process_whose_code_changed_is_restarted(running: Running) -> None:
    """A service's folder is the code of that service, edge/ of the edge; it is not counted as a crash."""
    before = running.pids()
    running.write("services/orders/handlers.py", "two = 2\n")
    await running.restarted(before, "orders")
    await running.said("services/orders/handlers.py changed; restarting orders\n")
    before = running.pids()
    running.write("edge/app.py", "two = 2\n")
    await running.restarted(before, "edge")
    assert {(state.restarts, state.crashes) for state in running.processes().values()} == {(0, 0)}


async def test_shared_code_restarts_all(running: Running) -> None:
    """Every process imports this module of mesh/."""
    before = running.pids()
    running.write("mesh/errors.py", "two = 2\n")
    await running.restarted(before, *NAMES)


async def test_a_syntax_error_leaves_the_process_alone(running: Running) -> None:
    """The file and line are printed, other processes are restarted, and this one once the error is fixed."""
    before = running.pids()
    running.write("services/orders/handlers.py", "one = 1\ntwo = (\n")
    running.write("services/catalog/handlers.py", "two = 2\n")
    await running.said(
        "services/orders/handlers.py:2: '(' was never closed; not restarted until this is fixed: orders\n"
    )
    await running.restarted(before, "catalog")
    before = running.pids()
    running.write("services/orders/handlers.py", "two = ()\n")
    await running.restarted(before, "orders")


async def test_shared_code_restarts_those_that_import_it(running: Running) -> None:
    """A changed module restarts the processes that import it, even indirectly; other files, such as migrations, all."""
    running.write("mesh/errors.py", "from mesh.status import code\n")
    running.write("mesh/status.py", "code = 1\n")
    await running.said("mesh/errors.py and 1 more changed; restarting catalog, edge, orders\n")
    await running.said("orders is ready again\n")
    running.write("services/catalog/__main__.py", "three = 3\n")
    await running.said("services/catalog/__main__.py changed; restarting catalog\n")
    running.write("mesh/status.py", "code = 2\n")
    await running.said("mesh/status.py changed; restarting edge, orders\n")
    running.write("mesh/0001.sql", "SELECT 1;\n")
    await running.said("mesh/0001.sql changed; restarting catalog, edge, orders\n")


async def test_the_same_files_written_anew_restart_nothing(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make generate` in another terminal removes gen/ and writes it again."""
    before = running.pids()
    path = running.root / "gen" / "orders_pb.py"
    text, changes, looks = path.read_text(), FileWatcher.changes, 0

    def changes_at_each_look(watcher: FileWatcher) -> set[Path]:
        nonlocal looks
        looks += 1
        if not path.exists():
            running.write("edge/app.py", f"one = {looks}\n")
        return changes(watcher)

    path.unlink()
    monkeypatch.setattr(FileWatcher, "changes", changes_at_each_look)
    while looks < 4:
        await asyncio.sleep(0.01)
    path.write_text(text)
    await running.restarted(before, "edge")
    assert "orders_pb" not in running.terminal.getvalue().decode()


async def test_a_contract_is_generated_first(running: Running) -> None:
    """gen/ is generated first; then the processes that import the changed modules are restarted."""
    before = running.pids()
    running.write("proto/orders.proto", "# two\n")
    await running.restarted(before, "orders")
    assert running.steps.done == ["generate", "prepare"]


async def test_the_edge_reloads_the_image_itself(running: Running) -> None:
    """An image that changes alone restarts nothing, but the broker may need other consumers."""
    before = running.pids()
    running.write("gen/contracts.binpb", "new")
    await running.said("gen/contracts.binpb changed; the edge reloads it\n")
    assert running.steps.done == ["prepare"]
    assert running.pids() == before


async def test_a_wrong_contract_restarts_nothing(running: Running) -> None:
    """A failure to generate gen/ is printed and keeps all processes running; once it is fixed, they restart."""
    before = running.pids()
    running.steps.failure = "The generation failed"
    running.write("proto/orders.proto", "# wrong\n")
    await running.said("The generation failed\n")
    assert running.pids() == before
    running.steps.failure = ""
    running.write("proto/orders.proto", "# right\n")
    await running.restarted(before, "orders")


async def test_a_file_that_cannot_be_read_restarts_nothing(running: Running) -> None:
    """An error of the file system is printed and keeps all processes running; once it is mended, they restart."""
    before = running.pids()
    (running.root / "proto/orders.proto").unlink()
    await running.said("No such file or directory: ")
    assert running.pids() == before
    running.write("proto/orders.proto", "# right\n")
    await running.restarted(before, "orders")
