"""The watcher for changes of code."""

import os
from pathlib import Path

import pytest

from local.file_watcher import FileWatcher


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project of two folders."""
    (tmp_path / "mesh" / "events").mkdir(parents=True)
    (tmp_path / "edge").mkdir()
    (tmp_path / "mesh" / "events" / "relay.py").write_text("one = 1\n")
    (tmp_path / "edge" / "app.py").write_text("one = 1\n")
    return tmp_path


def test_each_change_is_returned_once(root: Path) -> None:
    """Each changed file is returned once, relative to the root, also in a new folder."""
    watcher = FileWatcher(root, ["mesh", "edge", "not-there"])
    assert watcher.changes() == set()
    (root / "mesh" / "events" / "relay.py").write_text("two = 2\n")
    (root / "edge" / "app.py").unlink()
    (root / "edge" / "reply").mkdir()
    (root / "edge" / "reply" / "body.py").write_text("")
    assert watcher.changes() == {Path("mesh/events/relay.py"), Path("edge/app.py"), Path("edge/reply/body.py")}
    assert watcher.changes() == set()


def test_changes_since_an_earlier_poll(root: Path) -> None:
    """A file that was removed and is back as it was has not changed since then."""
    watcher = FileWatcher(root, ["mesh", "edge"])
    before = watcher.versions
    (root / "mesh" / "events" / "relay.py").unlink()
    assert watcher.changes() == {Path("mesh/events/relay.py")}
    (root / "mesh" / "events" / "relay.py").write_text("one = 1\n")
    (root / "edge" / "app.py").write_text("two = 2\n")
    assert watcher.changes() == {Path("mesh/events/relay.py"), Path("edge/app.py")}
    assert watcher.changes_since(before) == {Path("edge/app.py")}


def test_what_cannot_be_read_is_no_file(root: Path) -> None:
    """A link to itself, a link to a folder and a named pipe do not disturb the watcher."""
    watcher = FileWatcher(root, ["mesh"])
    (root / "mesh" / "loop.py").symlink_to("loop.py")
    (root / "mesh" / "edge.py").symlink_to(root / "edge")
    os.mkfifo(root / "mesh" / "pipe.py")
    (root / "mesh" / "events" / "relay.py").write_text("two = 2\n")
    assert watcher.changes() == {Path("mesh/events/relay.py")}


def test_the_same_content_is_no_change(root: Path) -> None:
    """A file whose time changed, or that was written again unchanged, has not changed."""
    watcher = FileWatcher(root, ["mesh"])
    os.utime(root / "mesh" / "events" / "relay.py", (1, 1))
    assert watcher.changes() == set()


@pytest.mark.parametrize("name", ["__pycache__/relay.cpython-311.pyc", ".relay.py.swp", "relay.py~", ".git/index"])
def test_what_editors_and_python_write_is_no_change(root: Path, name: str) -> None:
    """Compiled files, editors' backups and hidden folders are ignored."""
    watcher = FileWatcher(root, ["mesh"])
    (root / "mesh" / name).parent.mkdir(exist_ok=True)
    (root / "mesh" / name).write_text("x")
    assert watcher.changes() == set()
