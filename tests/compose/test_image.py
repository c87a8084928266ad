"""The content of the image that `make image` builds."""

import os
import subprocess
from pathlib import Path

import pytest

from local.declarations.checkout import read_services

ROOT = Path(__file__).resolve().parents[2]
IMAGE = os.environ.get("IMAGE", "meshwright:dev")
FOLDERS = ("/usr/bin", "/usr/lib", "/usr/local", "/usr/share/python-wheels", "/venv", "/app")
TOOLS = {
    "pip",
    "pip3",
    "ensurepip",
    "setuptools",
    "wheel",
    "gcc",
    "cc",
    "g++",
    "c++",
    "clang",
    "ld",
    "make",
    "go",
    "cargo",
}


def run(*arguments: str, entrypoint: str | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a container as a cluster does: nothing can be written, no rights but those of its user."""
    limits = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges:true", "--network", "none"]
    start = ["--entrypoint", entrypoint] if entrypoint else []
    command = ["docker", "run", "--rm", *limits, *start, IMAGE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "process", [f"services.{service.name}" for service in read_services(ROOT) if service.declaration.database]
)
def test_any_process_starts_by_its_name(process: str) -> None:
    """Each process starts and lists its missing settings."""
    done = run(process)
    assert done.returncode != 0
    assert "DATABASE_URL" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_the_edge_is_what_starts_without_a_name() -> None:
    """Without a name the edge starts, and reports that its upstreams are missing."""
    done = run()
    assert done.returncode != 0
    assert "upstream" in (done.stderr + done.stdout).lower()


def test_nothing_installs_or_compiles() -> None:
    """No package manager of Python and no compiler of C are there, nor an archive to make one of."""
    program = (
        "import pathlib\n"
        f"print([str(path) for root in {FOLDERS} for path in pathlib.Path(root).rglob('*')"
        f" if path.name in {TOOLS} or path.suffix == '.whl'])"
    )
    assert run("-c", program, entrypoint="python3").stdout == "[]\n"


def test_the_user_owns_nothing() -> None:
    """The user is not root, and neither owns nor can write any file outside of the system's own folders."""
    program = (
        "import os; print(os.getuid(), os.getgid(), [path for path in ('/app', '/venv') if os.access(path, os.W_OK)])"
    )
    assert run("-c", program, entrypoint="python3").stdout.split(maxsplit=2) == ["10001", "10001", "[]\n"]


def test_all_modules_are_compiled() -> None:
    """All modules are compiled: a read-only root file system could not keep what is compiled at a start."""
    program = (
        "import sys, pathlib, edge.app.reloading\n"
        "print([name for name, module in sys.modules.items() if (path := getattr(module, '__cached__', None))"
        " and not pathlib.Path(path).exists()])"
    )
    assert run("-c", program, entrypoint="python3").stdout == "[]\n"
