"""The commands behind the Makefile's targets, as their user meets them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from local.home import Home
from local.state import State

ROOT = Path(__file__).resolve().parents[2]


def run(command: str, home: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command for a mesh in this folder until it ends by itself."""
    environment = {**os.environ, "MESH_HOME": str(home), **variables}
    return subprocess.run(
        (sys.executable, "-m", "local", command), cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(("variable", "values"), [("RELOAD", "on or off"), ("BROKER", "nats or rabbitmq")])
def test_a_wrong_setting_is_named_before_anything_starts(tmp_path: Path, variable: str, values: str) -> None:
    """The error has the valid values, and no server has been started for it."""
    done = run("up", tmp_path / "mesh", **{variable: "no"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Invalid settings:\n{variable}: must be {values}.")
    assert not (tmp_path / "mesh" / "data" / "postgres").exists()


@pytest.mark.parametrize("command", ["up", "status", "clean"])
def test_ctrl_c_ends_a_command_that_still_imports(tmp_path: Path, command: str) -> None:
    """No traceback is shown, however early it is."""
    (tmp_path / "pydantic.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = run(command, tmp_path / "mesh", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_too_few_open_files_are_a_sentence(tmp_path: Path) -> None:
    """The error says which limit to raise."""
    command = ("sh", "-c", 'ulimit -n 10; exec "$0" -m local up', sys.executable)
    environment = {**os.environ, "MESH_HOME": str(tmp_path / "mesh"), "PORTS": "free"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "This process has as many files open as it may. Raise the limit: ulimit -n 4096.\n"


def test_clean_without_a_folder_removes_nothing(tmp_path: Path) -> None:
    """It does not say that it removed what never existed."""
    done = run("clean", tmp_path / "mesh")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"There is no {tmp_path / 'mesh'} to remove.\n", "")


@pytest.mark.parametrize("command", ["up", "status", "clean"])
def test_a_name_that_no_folder_can_have_is_a_sentence(tmp_path: Path, command: str) -> None:
    """Each command names the folder and the setting."""
    done = run(command, tmp_path / ("a" * 300))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("a can't be the mesh's folder: File name too long. Set MESH_HOME to another one.\n")


def test_nohup_keeps_the_mesh_running_when_its_terminal_closes() -> None:
    """A shell that ends sends SIGHUP to its jobs; nohup(1) makes them ignore it."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL's own user can enter it
        home = Home(folder / "mesh")
        environment = {**os.environ, "MESH_HOME": str(home.folder), "PORTS": "free", "RELOAD": "off"}
        command = ("nohup", sys.executable, "-m", "local", "up")
        with (folder / "output").open("wb") as output:
            mesh = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            while not home.state_file.exists():
                assert mesh.poll() is None, (folder / "output").read_text()
                time.sleep(0.02)
            mesh.send_signal(signal.SIGHUP)
            while mesh.poll() is None and not any(each.ready for each in State.read(home.state_file).processes):
                time.sleep(0.02)
            assert mesh.poll() is None
        finally:
            mesh.terminate()
            assert mesh.wait() == 0
