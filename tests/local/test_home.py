"""The folder of a local mesh."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local.errors import SetupError
from local.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Returns an empty folder."""
    home = Home(tmp_path / "mesh")
    home.create()
    return home


def test_one_supervisor_at_a_time(home: Home) -> None:
    """While one supervisor holds the lock, a second is rejected with the process id of the first."""
    with home.lock():
        pid = home.supervisor_pid()
        assert pid is not None
        with pytest.raises(SetupError, match=rf"already runs here \(process {pid}\).*make down"), home.lock():
            pass
        assert home.supervisor_pid() == pid
    assert home.supervisor_pid() is None
    with home.lock():
        pass


def test_a_question_for_the_holder_does_not_reject_a_supervisor(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make status` holds the lock for a moment; `make up` waits for its end."""
    with home.lock():
        pass
    with (home.folder / "lock").open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        monkeypatch.setattr(home, "supervisor_pid", lambda: fcntl.flock(asking, fcntl.LOCK_UN))
        with home.lock():
            monkeypatch.undo()
            assert home.supervisor_pid() == os.getpid()


def test_a_holder_is_not_mistaken_for_the_one_before(home: Home) -> None:
    """Until the holder has written its process id there is no answer; if it ends without one, nobody is."""
    with home.lock():
        pass
    with (home.folder / "lock").open("a") as holder, ThreadPoolExecutor() as threads:
        fcntl.flock(holder, fcntl.LOCK_EX)
        asked = threads.submit(home.supervisor_pid)
        holder.write("77")
        holder.flush()
        assert asked.result() == 77
        holder.truncate(0)
        asked = threads.submit(home.supervisor_pid)
        fcntl.flock(holder, fcntl.LOCK_UN)
        assert asked.result() is None


def test_a_killed_supervisor_holds_no_lock(home: Home) -> None:
    """The lock does not outlive its holder, so nobody has to remove a stale file."""
    program = (
        "import pathlib, sys, time; from local.home import Home\n"
        "with Home(pathlib.Path(sys.argv[1])).lock(): print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, home.folder], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert home.supervisor_pid() == holder.pid
        holder.kill()
    assert home.supervisor_pid() is None


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    """The error about too little disk space contains the free space, the required space and a correction."""
    expected = r"Only \d+ MB are free .*; the mesh needs \d+ MB\. Free some space, or set MESH_HOME"
    with pytest.raises(SetupError, match=expected):
        Home(tmp_path / "mesh").create(free_bytes_min=2**60)


def test_secrets_stay_the_same_and_private(home: Home) -> None:
    """A secret is made up once, kept with mode 0600, and differs from the others."""
    secret = home.secret("one")
    assert home.secret("one") == secret
    assert home.secret("two") != secret
    assert len(secret) == 32
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home.folder / "secrets").iterdir()} == {0o600}


def test_only_a_folder_of_ours_is_removed(home: Home, tmp_path: Path) -> None:
    """`clean` removes the mesh's folder with its data, and refuses any other folder that MESH_HOME may name."""
    with home.lock():
        pass
    assert home.remove()
    assert not home.folder.exists()
    assert not home.remove()
    precious = tmp_path / "precious"
    precious.mkdir()
    with pytest.raises(SetupError, match="was not created by `make up`"):
        Home(precious).remove()
    assert precious.exists()


def test_a_removal_that_was_cut_off_is_repeated(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file that stays, and the folder is still known as the mesh's own."""
    with home.lock():
        home.state_file.write_text("{}")
    unlink = os.unlink

    def refuse(path: str, **options: Any) -> None:
        if str(path).endswith("one"):
            raise PermissionError(errno.EPERM, "Operation not permitted", path)
        unlink(path, **options)

    home.secret("one")
    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(SetupError, match="one can't be removed: Operation not permitted"):
        home.remove()
    monkeypatch.undo()
    home.create()
    assert home.remove()
    assert not home.folder.exists()


def test_a_folder_with_files_of_others_is_left_alone(tmp_path: Path) -> None:
    """A mesh that ran there would change who may read them, and `make clean` would remove them."""
    (tmp_path / "diary.txt").write_text("private")
    before = tmp_path.stat().st_mode
    with pytest.raises(SetupError, match=r"has other files, such as diary\.txt"):
        Home(tmp_path).create()
    assert [each.name for each in tmp_path.iterdir()] == ["diary.txt"]
    assert tmp_path.stat().st_mode == before


def test_a_start_that_was_cut_off_is_repeated(home: Home) -> None:
    """The folder then has no lock yet."""
    home.create()
    with home.lock():
        home.state_file.write_text("{}")
    home.create()


def test_the_folder_may_be_a_link(tmp_path: Path) -> None:
    """`clean` removes the folder behind the link, and the next `up` makes it again, with the link unchanged."""
    disk = tmp_path / "disk"
    disk.mkdir()
    link = tmp_path / "mesh"
    link.symlink_to(disk)
    for _ in range(2):
        home = Home(link)
        home.create()
        with home.lock():
            pass
        assert home.secret("one")
        assert (disk / "secrets" / "one").exists()
        assert home.remove()
        assert link.is_symlink()
        assert not disk.exists()


@pytest.mark.parametrize("where", ["file", "file/mesh", "loop", "a" * 300])
def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path, where: str) -> None:
    """The error names the folder and the setting."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SetupError, match=rf"{where} can't be the mesh's folder: .*\. Set MESH_HOME to another one\.$"):
        Home(tmp_path / where).create()
