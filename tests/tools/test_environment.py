"""The set-up of the virtual environment."""

import ast
import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tools import environment

ROOT = Path(__file__).parents[2]


def make_checkout(folder: Path) -> Path:
    """Makes a checkout that needs no package at all, so that no registry is asked. There is no uv."""
    checkout = folder / "checkout"
    (checkout / "tools").mkdir(parents=True)
    (checkout / "gen").mkdir()
    shutil.copy(ROOT / "tools" / "environment.py", checkout / "tools")
    for name in environment.PURPOSES:
        (checkout / f"requirements-{name}.txt").write_text("# nothing\n")
    (checkout / "requirements-installers.txt").write_text("./no-such-package.whl --hash=sha256:00\n")
    return checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without an environment."""
    return make_checkout(tmp_path)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose environment was set up, where nothing else stands at its path any more."""
    checkout = make_checkout(tmp_path_factory.mktemp("made"))
    assert "Setting up .venv" in set_up(checkout).stdout
    return checkout.rename(checkout.with_name("kept"))


@pytest.fixture
def made(made_once: Path) -> Iterator[Path]:
    """A checkout whose environment was set up. It takes seconds to make one, so this is a copy at the same path."""
    checkout = shutil.copytree(made_once, made_once.with_name("checkout"), symlinks=True)
    yield checkout
    shutil.rmtree(checkout, ignore_errors=True)


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a program from another folder than the checkout."""
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


def set_up(checkout: Path, name: str = "up") -> "subprocess.CompletedProcess[str]":
    """Run the script."""
    return run(sys.executable, checkout / "tools" / "environment.py", name)


def make_wheel(folder: Path, name: str, *programs: Path) -> str:
    """Makes the wheel of an empty package, with programs. Returns the line of a requirements file that pins it."""
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    facts = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", "")
        archive.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{facts}/RECORD", "")
        for program in programs:
            archive.write(program, f"{name}-1.0.data/scripts/{program.name}")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n"


def test_an_environment_is_made_when_it_has_to_be(made: Path, tmp_path: Path) -> None:
    """It is made once, updated when the pins change, made anew where the checkout was moved, and finds our code."""
    assert set_up(made).stdout == ""
    (made / "requirements-up.txt").write_text("# other\n")
    assert "Setting up .venv" in set_up(made).stdout
    moved = made.rename(tmp_path / "moved")
    assert "Setting up .venv" in set_up(moved).stdout
    assert str(moved) in run(moved / ".venv" / "bin" / "pip", "--version").stdout
    path = run(moved / ".venv" / "bin" / "python", "-c", "import sys; print(*sys.path, sep='\\n')").stdout.split("\n")
    assert {str(moved), str(moved / "gen")} <= set(path)
    assert not [entry for entry in path if entry.startswith(str(made))]


def test_an_older_environment_finds_our_code(made: Path) -> None:
    """A source root that is new since an environment was made is found without making it anew."""
    (written,) = (made / ".venv").glob("lib/*/site-packages/meshwright.pth")
    written.write_text(f"{made}\n")
    assert set_up(made).stdout == ""
    assert str(made / "clients" / "python") in written.read_text().splitlines()


def test_an_environment_replaces_itself(made: Path, tmp_path: Path) -> None:
    """A moved checkout's .venv is made anew also by its own interpreter, which is removed meanwhile."""
    moved = made.rename(tmp_path / "moved")
    done = run(moved / ".venv" / "bin" / "python", moved / "tools" / "environment.py", "up")
    assert done.returncode == 0, done.stderr
    assert str(moved) in run(moved / ".venv" / "bin" / "pip", "--version").stdout


def test_a_missing_package_is_a_sentence(made: Path) -> None:
    """If the packages can't be installed, it fails with a hint and does not mark the environment as complete."""
    (made / "requirements-dev.txt").write_text("./no-such-package.whl --hash=sha256:00\n")
    done = set_up(made, "dev")
    assert done.returncode == 1
    assert "Could not install the packages; pip says above why." in done.stderr
    assert (made / ".venv" / "requirements-up.sha256").exists()
    assert not (made / ".venv" / "requirements-dev.sha256").exists()


def test_a_stamp_that_was_cut_off_is_none(made: Path) -> None:
    """The stamp is empty if the disk was full when it was written."""
    (made / ".venv" / "requirements-up.sha256").write_text("")
    done = set_up(made, "dev")
    assert done.returncode == 0, done.stderr
    assert (made / ".venv" / "requirements-up.sha256").read_text().startswith(f"{made / '.venv'}\n")


def test_a_full_disk_takes_nothing_away(tmp_path: Path) -> None:
    """A text stays as it was if the new one can't be written, here for the length of its name."""
    path = tmp_path / ("a" * 253)
    path.write_text("old")
    with pytest.raises(OSError, match="File name too long"):
        environment.replace_text(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize(("number", "whom"), [(signal.SIGINT, os.killpg), (signal.SIGTERM, os.kill)])
def test_pip_ends_with_the_script(made: Path, number: signal.Signals, whom: Callable[[int, int], None]) -> None:
    """Whoever stops the script by Ctrl-C, or by the signal that make sends, gets a sentence, and pip stops too."""
    (made / "requirements-dev.txt").write_text("# other\n")
    (made / "pip.py").write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)\n")
    command = [sys.executable, str(made / "tools" / "environment.py"), "dev"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as script:
        while not (made / "pid").exists() or not (made / "pid").read_text():
            assert script.poll() is None
            time.sleep(0.02)
        pip = psutil.Process(int((made / "pid").read_text()))
        try:
            whom(script.pid, number)
            assert script.wait() == 1
            assert not pip.is_running()
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                pip.kill()
        assert script.stderr is not None
        assert script.stderr.read().splitlines()[-1].startswith("Stopped. ")


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_each_target_installs_what_it_needs(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: str
) -> None:
    """`make up` installs only its own packages, other targets add theirs; the number of packages is printed. They come
    from where pip is configured to find them, by uv or, where that is missing, by pip.
    """
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    if installer == "uv":
        uv = make_wheel(wheels, "uv", Path(sys.executable).with_name("uv"))
        (made / "requirements-installers.txt").write_text(uv)
    for name in environment.PURPOSES:
        (made / f"requirements-{name}.txt").write_text(make_wheel(wheels, f"only_{name}"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    (tmp_path / "more").mkdir()
    monkeypatch.setenv("PIP_FIND_LINKS", f"{tmp_path / 'more'} {wheels}")
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))

    def installed() -> list[str]:
        return sorted(path.stem for path in (made / ".venv").glob("lib/python*/site-packages/only_*.py"))

    up = set_up(made)
    assert up.returncode == 0, up.stderr
    assert "Setting up .venv: what the mesh needs to run." in up.stdout
    assert re.search(r"^  1 packages in \d+ s$", up.stdout, re.MULTILINE), up.stdout
    assert installed() == ["only_up"]
    (installed_by,) = (made / ".venv").glob("lib/python*/site-packages/only_up-1.0.dist-info/INSTALLER")
    assert installed_by.read_text().strip() == installer
    assert set_up(made, "dev").returncode == 0
    assert installed() == ["only_dev", "only_up"]
    shutil.rmtree(made / ".venv")
    assert set_up(made, "toolchains").returncode == 0
    assert installed() == ["only_toolchains", "only_up"]


def test_progress_is_plain_where_nobody_looks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a file or a pipe, progress has no control characters; each line has the package, its size and the total."""
    progress = environment.Progress(tmp_path, 60)
    progress.read("Collecting uvloop==0.23.1 (from -r requirements.txt (line 9))\n")
    progress.read("  Downloading uvloop-0.23.1-cp311-cp311-manylinux_2_17_x86_64.whl (4.0 MB)\n")
    assert progress.text() == "1 of 60: downloading uvloop 0.23.1 (4.0 MB)"
    (tmp_path / "pip-23.2.dist-info").mkdir()
    progress.read("Installing collected packages: uvloop, httptools\n")
    (tmp_path / "uvloop-0.23.1.dist-info").mkdir()
    assert progress.text() == "installing 1 of 60"
    with progress:
        pass
    assert capsys.readouterr().out == "  60 packages in 0 s\n"


def test_an_unknown_name_is_a_sentence(checkout: Path) -> None:
    """The script names what there is to choose from."""
    assert set_up(checkout, "all").stderr == "Choose one of: up, toolchains, dev\n"


def test_an_old_python_is_a_sentence() -> None:
    """The error has the required version, the version that was found, and how to choose another."""
    with pytest.raises(SystemExit, match=r"Python 3\.11 or newer is needed, and this is 3\.9\.2\..*PYTHON=<path>"):
        environment.check_python((3, 9, 2))
    environment.check_python((3, 11, 0))


def test_an_old_python_can_read_it() -> None:
    """The script compiles as Python 3.7, so that an old interpreter can run it and print the error."""
    ast.parse((ROOT / "tools" / "environment.py").read_text(), feature_version=(3, 7))


def test_the_needed_python_is_the_declared_one() -> None:
    """The script and pyproject.toml name the same version."""
    declared = re.search(r'^requires-python = ">=(\d+)\.(\d+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    assert tuple(map(int, declared.groups())) == environment.PYTHON_MIN
