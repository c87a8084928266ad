"""The operations port: /livez, /readyz and /metrics."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

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


def routes(readiness: Readiness) -> list[Route]:
    """The three routes, for the operations port or for an app of one's own."""
    return [Route("/livez", _livez), Route("/readyz", _readyz(readiness)), Route("/metrics", _metrics)]


def operations_app(readiness: Readiness) -> Starlette:
    """The app of the operations port."""
    return Starlette(routes=routes(readiness))


async def _livez(_: Request) -> Response:
    return PlainTextResponse("alive\n")


def _readyz(readiness: Readiness) -> Callable[[Request], object]:
    async def readyz(_: Request) -> Response:
        problems = await readiness.problems()
        return JSONResponse({"ready": not problems, "checks": problems}, status_code=503 if problems else 200)

    return readyz


async def _metrics(_: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
