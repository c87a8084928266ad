"""Readiness of a process: whether all that it needs works, and it is not draining."""

import asyncio
from typing import Protocol

import structlog

from mesh.errors import MeshError

log = structlog.get_logger()

CHECK_TIMEOUT_S = 2.0


class Check(Protocol):
    """A part of a process that can say whether it works."""

    name: str

    async def check(self) -> None:
        """Returns if the part works; raises otherwise, a MeshError with a sentence that may be shown."""


class Readiness:
    """Whether a process can do its work: all its checks pass and it is not draining."""

    def __init__(self) -> None:
        self._checks: list[Check] = []
        self._serving = False

    def add(self, check: Check) -> None:
        """Asks this part too."""
        self._checks.append(check)

    def serve(self) -> None:
        """The process has started."""
        self._serving = True

    def drain(self) -> None:
        """The process is about to stop: never ready again."""
        self._serving = False

    async def problems(self) -> dict[str, str]:
        """What is missing, by the name of the part; empty when ready. Texts of unknown errors stay in the log."""
        if not self._serving:
            return {"process": "is starting or stopping"}
        answers = await asyncio.gather(*(_ask(check) for check in self._checks))
        return {check.name: answer for check, answer in zip(self._checks, answers, strict=True) if answer}


async def _ask(check: Check) -> str:
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
