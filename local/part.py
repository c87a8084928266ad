"""A process of the local mesh, as the supervisor sees it."""

import asyncio
import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.child import Command
from local.ports import LOOPBACK

PROBE_TIMEOUT_S = 3.0


class Part(Protocol):
    """What the supervisor has to know of a process. `port` is the one that people ask for."""

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
        """Whether what it prints goes to its log file only."""

    async def command(self) -> Command:
        """How to run it."""

    async def ready(self, pid: int) -> bool:
        """Whether it works, running as process `pid`."""


@dataclass(frozen=True, slots=True)
class MeshProcess:
    """A process built with mesh.process: it answers /readyz on its operations port."""

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
        """The folder, or the file less its suffix, of the module that it runs, relative to the project's root."""
        return Path(*self.argv[-1].split("."))

    async def command(self) -> Command:
        """Its program with the environment it needs."""
        return Command(self.argv, self.environment)

    async def ready(self, pid: int) -> bool:
        """It says so itself."""
        return await asyncio.to_thread(answers_ready, self.ops_port)


def answers_ready(port: int) -> bool:
    """Whether GET /readyz on this port of the loopback interface answers 200. Blocks for a few seconds at most."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
