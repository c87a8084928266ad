"""The files of the project that a process imports, found by reading their import statements."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

SEARCH_PATHS = ("", "gen")  # where Python looks for the project's modules, below its root
_IMPORT = re.compile(r"^\s*import\s+([^\n#]+)", re.MULTILINE)
_FROM_IMPORT = re.compile(r"^\s*from\s+([\w.]+)\s+import\s+(\([^)]*\)|[^\n#]+)", re.MULTILINE)
_NAME = re.compile(r"[\w.]+")


class Imports:
    """The imports of the project's files as they are now. It reads each file once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._imported: dict[Path, list[Path]] = {}

    def of(self, code: Path) -> set[Path]:
        """Returns the files that a module or package runs, relative to the root: its own, and those that these import.

        `code` is its path without suffix. Imports inside functions count; those by computed names are not seen.
        """
        found: set[Path] = set()
        waiting = [*_existing(self._root, [code.with_suffix(".py")]), *_files_below(self._root, code)]
        while waiting:
            path = waiting.pop()
            if path not in found:
                found.add(path)
                waiting += self._imports_of(path)
        return found

    def _imports_of(self, path: Path) -> list[Path]:
        if path not in self._imported:
            text = (self._root / path).read_text(errors="replace")
            self._imported[path] = _existing(self._root, {file for name in _names(text) for file in _files_of(name)})
        return self._imported[path]


def _files_below(root: Path, folder: Path) -> list[Path]:
    return [path.relative_to(root) for path in (root / folder).rglob("*.py")]


def _existing(root: Path, candidates: Iterable[Path]) -> list[Path]:
    return [found for path in candidates for place in SEARCH_PATHS if (root / (found := Path(place, path))).is_file()]


def _names(text: str) -> Iterator[str]:
    """Yields the dotted names of all modules, and of all members, which may be modules, that a text imports."""
    for names in _IMPORT.findall(text):
        yield from (words.split()[0] for words in names.split(",") if words.strip())
    for module, members in _FROM_IMPORT.findall(text):
        yield from (f"{module}.{member}" for member in _NAME.findall(members))


def _files_of(name: str) -> Iterator[Path]:
    """Yields the files of a module and of the packages that it is in."""
    parts = [part for part in name.split(".") if part]
    for end in range(1, len(parts) + 1):
        path = Path(*parts[:end])
        yield path.with_suffix(".py")
        yield path / "__init__.py"
