"""The folder of the servers that tests start: in memory where there is room, else on disk.

A database is three hundred files. Memory takes a tenth of a second to create one with its tables; a disk takes up to
half a second, and as long to remove it if it has been written meanwhile.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

MEMORY = Path("/dev/shm")  # Linux only
PREFIX = "meshwright-tests-"
ROOM_BYTES = 4 << 30  # for four workers: the write-ahead log of each keeps below 1 GiB


@contextmanager
def server_folder() -> Iterator[Path]:
    """Makes a folder that every user can enter, and removes it at the end."""
    with ExitStack() as stack:
        if not _has_room():
            folder = Path(stack.enter_context(TemporaryDirectory()))
        else:
            with _locked(MEMORY):  # so that no other run takes the new folder for an orphan
                _remove_orphans()
                folder = Path(stack.enter_context(TemporaryDirectory(prefix=PREFIX, dir=MEMORY)))
                stack.enter_context(_locked(folder))
        folder.chmod(0o711)
        yield folder


def holds(folder: Path) -> bool:
    """Returns whether a folder is in memory."""
    return folder.is_relative_to(MEMORY)


def _has_room() -> bool:
    return (
        os.access(MEMORY, os.W_OK)
        and shutil.disk_usage(MEMORY).free > ROOM_BYTES
        and psutil.virtual_memory().available > ROOM_BYTES
    )


def _remove_orphans() -> None:
    """Removes the folders of runs that were killed, which would take up memory until the machine restarts."""
    for folder in MEMORY.glob(f"{PREFIX}*"):
        with suppress(OSError), _locked(folder, fcntl.LOCK_NB):  # its run goes on, or it belongs to another user
            shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path, flags: int = 0) -> Iterator[None]:
    """Locks a folder until the end, or until this process is killed."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(handle)
