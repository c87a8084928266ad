"""The output of the processes: on the terminal with the name of the process before each line, and in log files."""

import os
import queue
import re
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

FILE_BYTES_MAX = 5 * 1024 * 1024  # then the file is renamed to <name>.log.1 and replaces the one before
COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)  # ANSI SGR foregrounds that read well on black and on white
CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")  # logged text must not control the terminal
LINES_WAITING_MAX = 10_000
LAST_LINES_TIMEOUT_S = 1.0


class Console:
    """Standard output, coloured on a terminal. Use it as a context manager: its exit writes the last lines.

    A thread writes, so that a slow reader or a terminal stopped with Ctrl-S does not block the mesh. When the queue is
    full, new lines are dropped and their number is printed.
    """

    def __init__(self, names: list[str], stream: IO[bytes] | None = None) -> None:
        # Unbuffered: at exit, Python would wait for the lock of its buffer, which the thread may hold.
        self._stream = stream or os.fdopen(sys.stdout.fileno(), "wb", buffering=0, closefd=False)
        self._width = max(map(len, names))
        self._colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
        self._coloured = self._stream.isatty()
        self._texts: queue.Queue[str | None] = queue.Queue(LINES_WAITING_MAX)
        self._left_out = 0
        self._closed = False
        self._writer = threading.Thread(target=self._write_all, daemon=True)
        self._writer.start()

    def line(self, name: str, line: bytes) -> None:
        """Prints a line of a process's output. Its name may be none of those at first."""
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        self._width = max(self._width, len(name))
        self._print(name, CONTROL_CHARACTERS.sub(b"", line).decode(errors="replace"), colour)

    def report(self, text: str) -> None:
        """Prints a message of the supervisor itself."""
        for line in text.split("\n"):
            self._print("mesh", line, 1)

    def show(self, text: str) -> None:
        """Prints a text without a prefix, so that it can be copied."""
        try:
            self._texts.put_nowait(text)
        except queue.Full:
            self._left_out += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(queue.Full):
            self._texts.put(None, timeout=LAST_LINES_TIMEOUT_S)
        self._writer.join(LAST_LINES_TIMEOUT_S)
        self._closed = True

    def _print(self, name: str, text: str, colour: int) -> None:
        prefix = f"{name:>{self._width}} │"
        if self._coloured:
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.show(f"{prefix} {text}\n")

    def _write_all(self) -> None:
        try:
            while (text := self._texts.get()) is not None:
                self._stream.write(text.encode())
                if self._texts.empty():
                    self._say_left_out()
            self._say_left_out()
        except OSError:  # the reader has closed the pipe: as if a terminal was closed, stop, but not under nohup(1)
            if not self._closed:
                os.kill(os.getpid(), signal.SIGHUP)

    def _say_left_out(self) -> None:
        if self._left_out:
            self._stream.write(f"… {self._left_out} lines left out; `make logs` has them\n".encode())
            self._left_out = 0


class LogFile:
    """A file that is rotated when it is large, so that a mesh that runs for months does not fill the disk.

    It is made anew if it or its folder was removed in the meantime. A line that can't be written, for example on a full
    disk, is dropped: no log is worth the process that writes it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        with suppress(OSError):  # the next line tries again
            self._file_for_more()

    def write(self, line: bytes) -> None:
        """Appends a line, or drops it."""
        try:
            self._file_for_more().write(line + b"\n")
        except OSError:
            self.close()  # what is wrong with the file may not be wrong with the next one

    def close(self) -> None:
        """Closes the file. The next line opens it again."""
        if self._file:
            with suppress(OSError):  # a disk over its quota may say so only here: close(2)
                self._file.close()
            self._file = None

    def _file_for_more(self) -> IO[bytes]:
        if self._file:
            status = os.fstat(self._file.fileno())
            if status.st_nlink and status.st_size <= FILE_BYTES_MAX:
                return self._file
            self.close()
            if status.st_nlink:
                with suppress(FileNotFoundError):  # it has another name already
                    self._path.replace(self._path.with_suffix(".log.1"))
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        return self._file
