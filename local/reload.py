"""The restart of processes whose code has changed, while `make up` runs."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from local.declarations.image import IMAGE
from local.errors import SetupError
from local.file_watcher import FileWatcher
from local.imports import Imports
from local.supervised_process import MeshProcess

POLL_S = 0.3
SETTLE_S = 0.15  # editors and Git write several files in a row
CONTRACTS, SHARED, SUPERVISOR = "proto", ("mesh", "gen"), "local"
RELOADED_BY_EDGE = Path(IMAGE)  # while it runs
WATCHED = (CONTRACTS, *SHARED, "services", "edge", SUPERVISOR)


class Steps(Protocol):
    """The steps after a change. Each raises SetupError if it fails."""

    async def generate(self) -> None:
        """Generates gen/ from the contracts."""

    async def prepare(self) -> None:
        """Updates the databases and the broker to what the code expects."""


class Reloader:
    """A watcher of the code below `root` that restarts the processes that run it: their own code, and what they import
    of the shared code.

    A process whose changed files have a syntax error keeps running the old code until the error is fixed.
    """

    def __init__(
        self,
        root: Path,
        processes: Sequence[MeshProcess],
        steps: Steps,
        restart: Callable[..., None],
        report: Callable[[str], None],
    ) -> None:
        self._root = root
        self._code = {process.name: process.code for process in processes}
        self._steps = steps
        self._restart = restart
        self._report = report
        self._watcher = FileWatcher(root, WATCHED)
        self._pending: set[Path] = set()

    async def run(self) -> None:
        """Restarts processes after changes, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            if changed := await self._settled_changes():
                self._pending |= changed
                try:
                    await self._apply()
                except (SetupError, OSError) as error:  # a file may be gone or locked when it is read
                    self._report(f"{error}\nNo process was restarted. Change a file to try again.")

    async def _apply(self) -> None:
        if any(path.parts[0] == CONTRACTS for path in self._pending):
            self._report(f"{_listed(self._pending)} changed; generating gen/")
            self._pending = {path for path in self._pending if path.parts[0] != CONTRACTS}
            await self._steps.generate()
            self._pending |= self._watcher.changes()
        errors = {path: error for path in sorted(self._pending) if (error := syntax_error(self._root, path))}
        kept = self._affected(errors)
        restarted = self._affected(self._pending) - kept
        for error in errors.values():
            self._report(f"{error}; not restarted until this is fixed: {_joined(kept)}")
        if restarted:
            await self._steps.prepare()
            self._report(f"{_listed(self._pending - errors.keys())} changed; restarting {_joined(restarted)}")
            self._restart(*restarted)
        elif RELOADED_BY_EDGE in self._pending:
            await self._steps.prepare()
            self._report(f"{RELOADED_BY_EDGE} changed; the edge reloads it")
        elif any(path.parts[0] == SUPERVISOR for path in self._pending - errors.keys()):
            self._report(f"{_listed(self._pending)} changed; to apply it, stop `make up` and start it again")
        # Changes of processes that keep their old code stay pending until the syntax error is fixed.
        self._pending = {path for path in self._pending if self._affected([path]) & kept} if kept else set()

    def _affected(self, paths: Collection[Path]) -> set[str]:
        """Returns the names of the processes that run code of these files."""
        shared = {path for path in paths if path.parts[0] in SHARED and path != RELOADED_BY_EDGE}
        names = self._importing(shared) if shared else set()
        for path in paths:
            modules = {path.with_suffix(""), *path.parents}
            names.update(name for name, code in self._code.items() if code in modules)
        return names

    def _importing(self, shared: set[Path]) -> set[str]:
        """Returns the names of the processes that import one of these files: all, if it is no module or was removed."""
        if any(path.suffix != ".py" or not (self._root / path).is_file() for path in shared):
            return set(self._code)
        imports = Imports(self._root)
        return {name for name, code in self._code.items() if not shared.isdisjoint(imports.of(code))}

    async def _settled_changes(self) -> set[Path]:
        """Returns the files that differ from before, once no more change. A file that was removed and written again as
        it was, as `make generate` does, is none.
        """
        before = self._watcher.versions
        if not self._watcher.changes():
            return set()
        await asyncio.sleep(SETTLE_S)
        while self._watcher.changes():
            await asyncio.sleep(SETTLE_S)
        return self._watcher.changes_since(before)


def syntax_error(root: Path, path: Path) -> str:
    """Returns the place and the text of a file's syntax error; empty if there is none or the file is not Python."""
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
