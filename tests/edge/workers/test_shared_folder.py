"""The folder that workers share."""

import errno
import fcntl
import os

import pytest

from edge.workers.shared_folder import VARIABLE, shared_folder


def test_the_folder_has_a_lock_while_it_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd-tmpfiles(8) takes this lock before it removes what is old, and leaves alone a folder that has one."""
    monkeypatch.setenv(VARIABLE, "")
    with shared_folder() as folder:
        cleaner = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(cleaner)
    assert not folder.exists()


def test_a_folder_without_locks_is_used_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some network file systems have none."""

    def refuse(_: int, __: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(fcntl, "flock", refuse)
    with shared_folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()
