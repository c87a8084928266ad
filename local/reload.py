"""Restarts the processes whose code has changed, while `make up` runs."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from local.errors import SetupError
from local.part import MeshProcess
from local.watch import Watch

POLL_S = 0.3
SETTLE_S = 0.15  # an editor or Git writes several files one after the other
CONTRACTS, SHARED, SUPERVISOR = "proto", ("mesh", "gen"), "local"
WATCHED = (CONTRACTS, *SHARED, "services", "edge", SUPERVISOR)


class Steps(Protocol):
    """What is done because of a change. Each raises SetupError when it fails."""

    async def generate(self) -> None:
        """Make gen/ from the contracts."""

    async def prepare(self) -> None:
        """Bring databases and broker to what the code expects."""


class Reloader:
    """Watches the code below `root` and restarts the processes that run it.

    A process whose changed files cannot be compiled keeps the code that it runs until they can.
    """

    def __init__(
        self,
        root: Path,
        processes: Sequence[MeshProcess],
        steps: Steps,
        restart: Callable[..., None],
        say: Callable[[str], None],
    ) -> None:
        self._root = root
        self._code = {process.name: process.code for process in processes}
        self._steps = steps
        self._restart = restart
        self._say = say
        self._watch = Watch(root, WATCHED)
        self._pending: set[Path] = set()

    async def run(self) -> None:
        """Restart what has to be, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            if changed := self._watch.changes():
                while more := await self._changes_after(SETTLE_S):
                    changed |= more
                self._pending |= changed
                try:
                    await self._apply()
                except SetupError as error:
                    self._say(f"{error}\nNothing was restarted; change a file to try again.")

    async def _apply(self) -> None:
        if any(path.parts[0] == CONTRACTS for path in self._pending):
            self._say(f"{_listed(self._pending)} changed; generating gen/")
            self._pending = {path for path in self._pending if path.parts[0] != CONTRACTS}
            await self._steps.generate()
            self._pending |= self._watch.changes()
        errors = {path: error for path in sorted(self._pending) if (error := syntax_error(self._root, path))}
        kept = self._affected(errors)
        restarted = self._affected(self._pending) - kept
        for error in errors.values():
            self._say(f"{error}; unchanged until this is mended: {_joined(kept)}")
        if restarted:
            await self._steps.prepare()
            self._say(f"{_listed(self._pending - errors.keys())} changed; restarting {_joined(restarted)}")
            self._restart(*restarted)
        elif any(path.parts[0] == SUPERVISOR for path in self._pending - errors.keys()):
            self._say(f"{_listed(self._pending)} changed; to use it, stop `make up` and start it again")
        # What a process that keeps its code has not read yet, it reads when the error is mended.
        self._pending = {path for path in self._pending if self._affected([path]) & kept} if kept else set()

    def _affected(self, paths: Iterable[Path]) -> set[str]:
        """Returns the names of the processes that run code of these files."""
        names: set[str] = set()
        for path in paths:
            if path.parts[0] in SHARED:
                names.update(self._code)
            else:
                modules = {path.with_suffix(""), *path.parents}
                names.update(name for name, code in self._code.items() if code in modules)
        return names

    async def _changes_after(self, pause_s: float) -> set[Path]:
        await asyncio.sleep(pause_s)
        return self._watch.changes()


def syntax_error(root: Path, path: Path) -> str:
    """Returns where and why this file cannot be compiled; an empty text when it can, or is none of Python's."""
    if path.suffix != ".py" or not (root / path).is_file():
        return ""
    try:
        compile((root / path).read_bytes(), str(path), "exec", dont_inherit=True)
    except SyntaxError as error:
        return f"{path}:{error.lineno or 1}: {error.msg}"
    except ValueError as error:  # null bytes
        return f"{path}:1: {error}"
    return ""


def _listed(paths: Iterable[Path]) -> str:
    first, *others = sorted(map(str, paths))
    return f"{first} and {len(others)} more" if others else first


def _joined(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
