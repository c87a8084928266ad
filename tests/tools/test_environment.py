"""What creates the virtual environment."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that needs no package at all, so that no registry is asked."""
    checkout = tmp_path / "checkout"
    (checkout / "tools").mkdir(parents=True)
    (checkout / "gen").mkdir()
    shutil.copy(ROOT / "tools" / "environment.py", checkout / "tools")
    (checkout / "requirements-dev.txt").write_text("# nothing\n")
    return checkout


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a program from another folder than the checkout."""
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def set_up(checkout: Path) -> "subprocess.CompletedProcess[str]":
    """Run the script."""
    return run(sys.executable, checkout / "tools" / "environment.py")


def test_an_environment_is_made_when_it_has_to_be(checkout: Path) -> None:
    """It is made once, updated when the pins change, made anew where the checkout was moved, and finds our code."""
    assert "Setting up .venv" in set_up(checkout).stdout
    assert set_up(checkout).stdout == ""
    (checkout / "requirements-dev.txt").write_text("# other\n")
    assert "Setting up .venv" in set_up(checkout).stdout
    moved = checkout.rename(checkout.with_name("moved"))
    assert "Setting up .venv" in set_up(moved).stdout
    assert str(moved) in run(moved / ".venv" / "bin" / "pip", "--version").stdout
    path = run(moved / ".venv" / "bin" / "python", "-c", "import sys; print(*sys.path, sep='\\n')").stdout.split("\n")
    assert {str(moved), str(moved / "gen")} <= set(path)
    assert not [entry for entry in path if entry.startswith(str(checkout))]


def test_an_environment_replaces_itself(checkout: Path) -> None:
    """A moved checkout's .venv is made anew also by its own interpreter, which is removed meanwhile."""
    set_up(checkout)
    moved = checkout.rename(checkout.with_name("moved"))
    done = run(moved / ".venv" / "bin" / "python", moved / "tools" / "environment.py")
    assert done.returncode == 0, done.stderr
    assert str(moved) in run(moved / ".venv" / "bin" / "pip", "--version").stdout


def test_a_missing_package_is_a_sentence(checkout: Path) -> None:
    """When the packages cannot be installed, it fails with what to look at, and does not take the rest for done."""
    (checkout / "requirements-dev.txt").write_text("./no-such-package.whl --hash=sha256:00\n")
    done = set_up(checkout)
    assert done.returncode == 1
    assert "Could not install the packages; pip says above why." in done.stderr
    assert not (checkout / ".venv" / "requirements-dev.sha256").exists()


def test_an_old_python_is_a_sentence() -> None:
    """It names the version that is needed, the one found, and the way to choose another."""
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed, and this is 3\.9\.2\..*PYTHON=<path>"):
        environment.check_python((3, 9, 2))
    environment.check_python((3, 11, 0))


def test_an_old_python_can_read_it() -> None:
    """The script compiles as Python 3.7, the oldest grammar that can be asked for: else it could not say so."""
    ast.parse((ROOT / "tools" / "environment.py").read_text(), feature_version=(3, 7))


def test_the_needed_python_is_the_declared_one() -> None:
    """The script and pyproject.toml name the same version."""
    declared = re.search(r'^requires-python = ">=(\d+)\.(\d+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    assert tuple(map(int, declared.groups())) == environment.PYTHON_MIN
