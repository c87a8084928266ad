"""A program that runs as a child process in its own session. It dies with us and is stopped in two steps."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Self

import psutil

from local import launcher
from local.errors import SetupError

LINE_BYTES_MAX = 64 * 1024  # of a child's output


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, its environment and its signals.

    `environment` is added to our own. `user` is the system user to run as; None means our own. `stop_signal` asks the
    program to stop. `death_signal` is sent by the kernel if we die without stopping the program (Linux only).
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL


class Child:
    """A running program. It has its own session: a terminal's Ctrl-C does not reach it, and we decide when it stops."""

    def __init__(self, command: Command, process: Process, output: IO[bytes] | None) -> None:
        """Takes over a started program, and the reading end of its output if that does not go to a file."""
        self._command = command
        self._process = process
        self._output = output

    @classmethod
    async def start(cls, command: Command, output: IO[bytes] | None = None) -> Self:
        """Starts the program. Standard output and standard error go to the file `output`, or to `lines()` if None.

        Raises SetupError if the program is missing.
        """
        program = shutil.which(command.argv[0])
        if program is None:
            raise SetupError(
                f"The program {command.argv[0]} is missing. Remove .venv and run `make up`, which installs it again."
            )
        launch = (launcher.__file__, str(os.getpid()), str(int(command.death_signal)), command.user or "", program)
        # Not asyncio's own pipe: with it, wait() would end no sooner than the output, so never while nobody reads it or
        # another process has inherited it.
        reader, output = (None, output) if output else _pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", *launch, *command.argv[1:]),
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
                env={**os.environ, **command.environment},
                cwd="/" if command.user else None,  # another user may have no access to our folder
                start_new_session=True,
            )
        except BaseException:
            if reader:
                reader.close()
            raise
        finally:
            if reader:
                output.close()  # the program has the writing end
        return cls(command, process, reader)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def lines(self) -> AsyncIterator[bytes]:
        """Yields the lines of the output without line ends. A line longer than LINE_BYTES_MAX comes in pieces."""
        if self._output is None:
            raise RuntimeError("the output of this child goes to a file")
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), self._output
        )
        try:
            rest = b""
            while chunk := await reader.read(LINE_BYTES_MAX):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line
                if len(rest) > LINE_BYTES_MAX:
                    yield rest
                    rest = b""
            if rest:
                yield rest
        finally:
            transport.close()

    @property
    def exit_code(self) -> int | None:
        """Returns the exit code: None while the program runs, negative if a signal ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Waits until the program ends and returns the exit code. Its output may not have been read to its end yet."""
        return await self._process.wait()

    async def stop(self, grace_s: float) -> int:
        """Sends the stop signal and returns the exit code. After `grace_s` it kills the program."""
        if self.exit_code is None:
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(self.pid, self._command.stop_signal)
        try:
            async with asyncio.timeout(grace_s):
                return await self.wait()
        except TimeoutError:
            self.kill()
            return await self.wait()

    def kill(self) -> None:
        """Kills the program immediately, with its process group and all of its descendants: each of PostgreSQL's
        backends has a session of its own, and may end a last transaction after the server's process is gone.
        """
        if self.exit_code is not None:
            return
        with suppress(psutil.NoSuchProcess, ProcessLookupError):  # it has just ended by itself
            program = psutil.Process(self.pid)
            program.suspend()  # it starts no process that we would miss
            descendants = program.children(recursive=True)
            os.killpg(self.pid, signal.SIGKILL)
            for process in descendants:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    """Returns the reading and the writing end of a new pipe."""
    reader, writer = os.pipe()
    return os.fdopen(reader, "rb", buffering=0), os.fdopen(writer, "wb", buffering=0)
