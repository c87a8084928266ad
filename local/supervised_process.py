"""The processes that the supervisor of the local mesh runs, as it sees them."""

import asyncio
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.child import Command
from local.ports import LOOPBACK

PROBE_TIMEOUT_S = 3.0


class SupervisedProcess(Protocol):
    """A process that the supervisor runs. `port` is the port that `make status` lists."""

    @property
    def name(self) -> str: ...
    @property
    def port(self) -> int: ...
    @property
    def readyz_url(self) -> str | None: ...
    @property
    def stop_grace_s(self) -> float: ...
    @property
    def quiet(self) -> bool:
        """Returns whether its output goes to its log file only."""

    async def command(self) -> Command:
        """Returns the command that runs it."""

    async def ready(self, pid: int) -> bool:
        """Returns whether it is ready, running as process `pid`."""


@dataclass(frozen=True, slots=True)
class MeshProcess:
    """A process built with mesh.process. It serves /readyz on its operations port."""

    name: str
    port: int
    ops_port: int
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    stop_grace_s: float = 5.0
    quiet: bool = False

    @property
    def readyz_url(self) -> str:
        return f"http://{LOOPBACK}:{self.ops_port}/readyz"

    @property
    def code(self) -> Path:
        """Returns the path of its module without suffix, or of its package, relative to the root of the project."""
        return Path(*self.argv[-1].split("."))

    async def command(self) -> Command:
        """Returns its program with its environment."""
        return Command(self.argv, self.environment)

    async def ready(self, pid: int) -> bool:
        """Returns whether its /readyz answers 200."""
        return await asyncio.to_thread(answers_ready, self.ops_port)


def answers_ready(port: int) -> bool:
    """Returns whether GET /readyz on this loopback port answers 200. Blocks for a few seconds at most."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
