"""The folder with everything that a local mesh keeps: data, logs, secrets, and the state of its supervisor."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from local.errors import SetupError
from local.secret import secret
from local.settings import HomeSettings, read_settings

FREE_BYTES_MIN = 256 * 1024 * 1024  # a new database takes 60 MB, its write-ahead log at least as much

_MADE_BEFORE_LOCK = frozenset({"data", "logs", "secrets"})


class Home:
    """The folder `.mesh`, or the one that MESH_HOME names. Its lock is held by one supervisor at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.state_file = self.folder / "state.json"
        self.staff_login_file = self.folder / "staff-login.txt"
        self._lock_file = self.folder / "lock"
        self._restarts = self.folder / "restarts"

    @classmethod
    def of_environment(cls) -> "Home":
        """Returns the folder that the environment names. Raises SetupError if it can't be looked at."""
        home = cls(read_settings(HomeSettings).mesh_home)
        try:
            home.folder.exists()
        except OSError as error:
            raise home._unusable(error) from error
        return home

    def create(self, free_bytes_min: int = FREE_BYTES_MIN) -> None:
        """Creates the folder with permissions that let PostgreSQL's user traverse it. Raises SetupError if that is not
        possible, if there are files of others, or if less than `free_bytes_min` are free on the disk.
        """
        try:
            self._check_is_own()
            # The folder may be a link, whose target `remove` has removed.
            Path(os.path.realpath(self.folder)).mkdir(parents=True, exist_ok=True)
            for folder in (self.folder, self.folder / "data"):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o711)
            for folder in (self.folder / "logs", self.folder / "secrets"):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
        except OSError as error:
            raise self._unusable(error) from error
        free_bytes = shutil.disk_usage(self.folder).free
        if free_bytes < free_bytes_min:
            raise SetupError(
                f"Only {free_bytes // 2**20} MB are free on the disk of {self.folder}; "
                f"the mesh needs {free_bytes_min // 2**20} MB. "
                "Free some space, or set MESH_HOME to a folder on another disk."
            )

    def _check_is_own(self) -> None:
        """Raises SetupError if the folder has files that no mesh has made: `remove` would remove them, too."""
        if not self.folder.is_dir() or self._lock_file.exists():
            return
        if others := sorted({each.name for each in self.folder.iterdir()} - _MADE_BEFORE_LOCK):
            raise SetupError(
                f"{self.folder} has other files, such as {others[0]}, which `make clean` would remove. "
                "Set MESH_HOME to a folder of its own."
            )

    def data(self, name: str) -> Path:
        """Returns the folder in which the process of this name keeps its data."""
        return self.folder / "data" / name

    def log(self, name: str) -> Path:
        """Returns the file with the output of the process of this name."""
        return self.folder / "logs" / f"{name}.log"

    def secret(self, name: str) -> str:
        """Returns the secret of this name, which stays the same between runs."""
        return secret(self.folder / "secrets" / name)

    def request_restart(self, name: str) -> None:
        """Records that the supervisor has to restart a process when it receives the signal."""
        self._restarts.mkdir(exist_ok=True)
        (self._restarts / name).touch()

    def take_restarts(self) -> list[str]:
        """Returns the processes of all recorded requests, since signals may be merged, and removes the requests."""
        requests = list(self._restarts.glob("*"))
        for request in requests:
            request.unlink()
        return [request.name for request in requests]

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the lock; the kernel releases it when we die. Raises SetupError if another process holds it."""
        with self._lock_file.open("a+") as file:
            while not _locked(file, fcntl.LOCK_EX):
                # A process that asks for the holder holds the lock too, for a moment.
                if pid := self.supervisor_pid():
                    raise SetupError(
                        f"A mesh already runs here (process {pid}): `make status` shows it, `make down` "
                        "stops it. To run a second one beside it: make up PORTS=free MESH_HOME=.mesh-2"
                    )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)  # nobody takes this process for the next holder

    def supervisor_pid(self) -> int | None:
        """Returns the id of the process that holds the lock; None if no mesh runs here."""
        if not self._lock_file.exists():
            return None
        with self._lock_file.open("r") as file:
            while not _locked(file, fcntl.LOCK_SH):
                if pid := file.read():
                    return int(pid)
                time.sleep(0.01)  # it has locked the file and is about to write, or is about to unlock it
            return None

    def remove(self) -> bool:
        """Removes the folder with its content; a link to it stays. Returns False if there is none. Raises SetupError if
        `create` did not make the folder, or if it can't be removed.
        """
        if not self.folder.exists():
            return False
        if not self._lock_file.exists():
            raise SetupError(f"{self.folder} was not created by `make up`, so it is not removed. Check MESH_HOME.")
        folder = self.folder.resolve()
        try:
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != self._lock_file.name:
                    path.unlink()
            shutil.rmtree(folder)  # with the lock, by which a removal that was cut off is repeated
        except OSError as error:
            raise SetupError(f"{error.filename or folder} can't be removed: {error.strerror}.") from error
        return True

    def _unusable(self, error: OSError) -> SetupError:
        return SetupError(f"{self.folder} can't be the mesh's folder: {error.strerror}. Set MESH_HOME to another one.")


def _locked(file: IO[str], kind: int) -> bool:
    """Locks the file, unless another process holds it. Returns whether that was possible."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
