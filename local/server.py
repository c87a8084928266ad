"""What the servers that come as wheels have in common: how the tests start one, and the supervisor all of them."""

import abc
import asyncio
from pathlib import Path
from typing import ClassVar, Self

from local.child import Child, Command
from local.errors import SetupError
from local.ports import free_port

POLL_S = 0.02


class Server(abc.ABC):
    """A server on the loopback interface whose data lives under `folder` and survives from one start to the next.

    As a context manager it runs from entry to exit. `port` is a free one when not given.
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
        """Prepare the folder and say how to run the server in the foreground. Raises SetupError when that cannot be."""

    @abc.abstractmethod
    async def ready(self, pid: int) -> bool:
        """Whether the server that runs as process `pid` accepts clients."""

    async def start(self) -> None:
        """Run it, its output going to `folder`/log, until it accepts clients. Raises SetupError when it does not."""
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

    async def stop(self) -> None:
        """Stop it in an orderly way; without effect when it does not run."""
        if self._child:
            await self._child.stop(self.stop_grace_s)

    async def kill(self) -> None:
        """Kill it, as a crash would."""
        if self._child:
            self._child.kill()
            await self._child.wait()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
