"""`make logs`: prints the logs of the processes and follows them."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from local.declarations.service import workload_name
from local.errors import SetupError
from local.home import Home
from local.output import Console
from local.timestamps import in_order

LINES_BEFORE = 20
POLL_S = 0.2
BYTES_BEFORE_MAX = 64 * 1024


def follow(home: Home, service: str | None) -> None:
    """Prints the last lines of all logs, or of one service's log, in order of time, and then each new line, until
    interrupted. Raises SetupError if there are no logs.
    """
    names = _names(home)
    if not names:
        raise SetupError("There are no logs yet. `make up` starts the mesh.")
    service = service and workload_name(service)
    if service and service not in names:
        raise SetupError(f"There is no log of {service!r}. Use one of: {', '.join(names)}")
    before = LINES_BEFORE
    with ExitStack() as stack:
        console = stack.enter_context(Console(names))
        logs: dict[str, Log] = {}
        while True:
            for name in [service] if service else _names(home):  # a process that starts later makes its log then
                if name not in logs:
                    logs[name] = stack.enter_context(closing(Log(home.log(name))))
            for name, line in in_order((log.name, list(log.new_lines())[-before:]) for log in logs.values()):
                console.line(name, line)
            before = 0  # [-0:] keeps all lines
            time.sleep(POLL_S)


def _names(home: Home) -> list[str]:
    """Returns the names of all processes that have a log."""
    return sorted(path.stem for path in (home.folder / "logs").glob("*.log"))


class Log:
    """A growing log file. It survives rotation: the file is sometimes renamed and a new one gets its name."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._path = path
        self._file = path.open("rb")
        size_bytes = os.fstat(self._file.fileno()).st_size
        if size_bytes > BYTES_BEFORE_MAX:
            self._file.seek(size_bytes - BYTES_BEFORE_MAX)
            self._file.readline()  # skips a partial line
        self._rest = b""

    def new_lines(self) -> Iterator[bytes]:
        """Yields the complete lines that were written since the last call."""
        yield from self._read()
        with suppress(FileNotFoundError):  # it is made anew with the next line
            if self._path.stat().st_ino != os.fstat(self._file.fileno()).st_ino:
                new = self._path.open("rb")
                self._file.close()
                self._file = new
                yield from self._read()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _read(self) -> Iterator[bytes]:
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        yield from lines
