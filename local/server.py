"""The base of database and broker servers, which the supervisor and the tests start."""

import abc
import asyncio
from pathlib import Path
from typing import ClassVar, Self

from local.child import Child, Command
from local.errors import SetupError
from local.ports import free_port

POLL_S = 0.02


class Server(abc.ABC):
    """A server on the loopback interface. Its data is in `folder` and survives restarts.

    As a context manager it runs from entry to exit. By default `port` is a free one.
    """

    name: ClassVar[str]
    start_timeout_s: ClassVar[float]
    stop_grace_s: ClassVar[float]
    readyz_url: ClassVar[None] = None
    quiet: ClassVar[bool] = True

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self.folder = folder.absolute()
        self.port = port or free_port()
        self._child: Child | None = None

    @abc.abstractmethod
    async def command(self) -> Command:
        """Prepares the folder and returns the command that runs the server in the foreground. Raises SetupError if that
        is not possible.
        """

    @abc.abstractmethod
    async def ready(self, pid: int) -> bool:
        """Returns whether the server that runs as process `pid` accepts clients."""

    async def start(self) -> None:
        """Starts the server with its output in `folder`/log and waits until it accepts clients. Raises SetupError if it
        does not.
        """
        command = await self.command()
        with (self.folder / "log").open("ab") as log:
            self._child = await Child.start(command, log)
        try:
            async with asyncio.timeout(self.start_timeout_s):
                while not await self.ready(self._child.pid):
                    if self._child.exit_code is not None:
                        raise SetupError(
                            f"{self.name} stopped with exit code {self._child.exit_code}; see {self.folder / 'log'}."
                        )
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            await self.stop()
            raise SetupError(
                f"{self.name} did not accept clients within {self.start_timeout_s:.0f} s; see {self.folder / 'log'}."
            ) from None

    @property
    def pid(self) -> int:
        """Returns the process id of the running server."""
        assert self._child is not None, "it was started"
        return self._child.pid

    async def stop(self) -> None:
        """Stops the server gracefully. Has no effect if it does not run."""
        if self._child:
            await self._child.stop(self.stop_grace_s)

    async def kill(self) -> None:
        """Kills the server with SIGKILL, which has the effect of a crash."""
        if self._child:
            self._child.kill()
            await self._child.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
