"""A copy of the checkout, in which a test makes what it likes."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self

ROOT: Final = Path(__file__).resolve().parents[1]
_OTHERS: Final = (".git", ".mesh", ".*_cache", ".hypothesis", "__pycache__", ".env", ".venv", ".tools")
_SHARED: Final = (".venv", ".tools")
ASSUME_OLD: Final = tuple(f"--assume-old=.venv/requirements-{name}.sha256" for name in ("up", "toolchains", "dev"))
"""Keeps make from looking at the packages of a copy: they are the original's."""


class Checkout:
    """A copy of the checkout, in this folder, that uses the packages and programs of the original."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    @contextlib.contextmanager
    def copied(cls) -> Iterator[Self]:
        """Makes a copy, and removes it at the end."""
        with TemporaryDirectory() as temporary:
            Path(temporary).chmod(0o711)  # PostgreSQL may run as another user, which must be able to traverse it
            copy = cls(Path(temporary) / "checkout")
            copy._fill()
            yield copy

    def _fill(self) -> None:
        shutil.copytree(ROOT, self.folder, ignore=shutil.ignore_patterns(*_OTHERS))
        for name in _SHARED:
            (self.folder / name).symlink_to(ROOT / name)

    @property
    def home(self) -> Path:
        """A folder for the state of the copy's mesh."""
        return self.folder.parent / "home"

    @property
    def python_path(self) -> str:
        """The value of PYTHONPATH by which the copy's code goes before the original's."""
        return ":".join(map(str, (self.folder, self.folder / "gen", self.folder / "clients" / "python")))

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a program that runs in the copy."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "MAKE", "MFLAGS"))}
        # The user of our PostgreSQL can't enter pytest's own temporary folder.
        temporary = {"PYTEST_DEBUG_TEMPROOT": str(self.folder.parent)}
        return ours | temporary | {"PYTHONPATH": self.python_path}

    def run(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        """Runs a program in the copy."""
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def make(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Runs make in the copy."""
        return self.run("make", *ASSUME_OLD, *arguments)
