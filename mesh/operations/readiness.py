"""The readiness of a process: it has started, is not draining, and the components that it requires work."""

import asyncio
from typing import Protocol

import structlog

from mesh.errors import MeshError

log = structlog.get_logger()

CHECK_TIMEOUT_S = 2.0


class Check(Protocol):
    """A component of a process that can check whether it works."""

    name: str

    async def check(self) -> None:
        """Raises an exception if the component does not work; the message of a MeshError is shown on /readyz."""


class Readiness:
    """The readiness of a process: it is ready if all checks pass, and it is neither starting nor draining."""

    def __init__(self) -> None:
        self._checks: list[Check] = []
        self._serving = False

    def add(self, check: Check) -> None:
        """Adds a component to the checks."""
        self._checks.append(check)

    def serve(self) -> None:
        """Marks the process as started."""
        self._serving = True

    def drain(self) -> None:
        """Marks the process as draining: it is never ready again."""
        self._serving = False

    async def problems(self) -> dict[str, str]:
        """Returns the problems, by the name of the component; empty if the process is ready. The messages of unexpected
        errors are only logged.
        """
        if not self._serving:
            return {"process": "is starting or stopping"}
        found = await asyncio.gather(*(_problem(check) for check in self._checks))
        return {check.name: problem for check, problem in zip(self._checks, found, strict=True) if problem}


async def _problem(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check.check()
    except TimeoutError:
        return "does not answer"
    except MeshError as error:
        return error.message
    except Exception:
        log.warning("readiness check failed", check=check.name, exc_info=True)
        return "does not work"
    return ""
