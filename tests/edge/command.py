"""The edge as a process of its own."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the edge until it exits."""
    command = [sys.executable, "-m", "edge", *map(str, arguments)]
    return subprocess.run(
        command, env=ENVIRONMENT | environment, capture_output=True, text=True, timeout=60, check=False
    )


@contextlib.asynccontextmanager
async def process(
    *arguments: str | Path, program: Sequence[str] = ("-m", "edge"), **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs the edge while the block runs. `program` are the arguments of Python that run it."""
    command = [sys.executable, *program, *map(str, arguments)]
    child = await asyncio.create_subprocess_exec(
        *command, env=ENVIRONMENT | environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


async def wait_until_ready(url: str) -> httpx.Response:
    """Returns the first response of /readyz that is 200."""
    async with httpx.AsyncClient() as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                response = await client.get(f"{url}/readyz")
                if response.status_code == 200:
                    return response
            await asyncio.sleep(0.05)
