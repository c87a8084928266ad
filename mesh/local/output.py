"""What the processes print: on the terminal with the process's name before each line, and in a file for each."""

import errno
import os
import re
import signal
import sys
from pathlib import Path
from typing import IO

FILE_BYTES_MAX = 5 * 1024 * 1024  # then the file becomes <name>.log.1, in place of the one before
COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)  # ANSI SGR foregrounds that read well on black and on white
CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")  # a logged text must not steer the terminal


class Console:
    """Standard output. Coloured on a terminal."""

    def __init__(self, names: list[str], stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stdout
        self._width = max(map(len, names))
        self._colours = dict(zip(names, COLOURS * (1 + len(names) // len(COLOURS)), strict=False))
        self._coloured = self._stream.isatty()

    def line(self, name: str, line: bytes) -> None:
        """Print a line that a process printed."""
        self._print(name, CONTROL_CHARACTERS.sub(b"", line).decode(errors="replace"), self._colours[name])

    def say(self, text: str) -> None:
        """Print what the supervisor itself has to say."""
        for line in text.split("\n"):
            self._print("mesh", line, 1)

    def show(self, text: str) -> None:
        """Print a text that is to be copied from: as it is."""
        self._write(text)

    def _print(self, name: str, text: str, colour: int) -> None:
        prefix = f"{name:>{self._width}} │"
        if self._coloured:
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self._write(f"{prefix} {text}\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # whoever read it has gone: stop, as when a terminal is closed
            self._stream = Path(os.devnull).open("w")  # noqa: SIM115 - it lives as long as we do
            signal.raise_signal(signal.SIGHUP)


class LogFile:
    """A file that is put aside when it has grown, so that a mesh that runs for months does not fill the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("ab", buffering=0)

    def write(self, line: bytes) -> None:
        """Append a line. On a full disk the line is lost: it was shown on the terminal, and the mesh goes on."""
        try:
            if self._file.tell() > FILE_BYTES_MAX:
                self._file.close()
                self._path.replace(self._path.with_suffix(".log.1"))
                self._file = self._path.open("ab", buffering=0)
            self._file.write(line + b"\n")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()
