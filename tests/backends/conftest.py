"""The backend in Go, which `make go-backend` builds, and an edge in front of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.contracts import PROTO3
from tests.conformance.dialect import Dialect, dialect_of
from tests.edge.served import Client, edge_of

PROGRAM: Final = Path(__file__).parents[2] / ".tools" / "bin" / "go-backend"

# Request headers by which tests control the backend, and response headers in which it reports.
ASKED: Final = "x-behave,x-text,x-raw-bin"
ANSWERED: Final = "echo-x-text,echo-x-raw-bin,has-deadline"


@dataclass(frozen=True)
class GoBackend:
    """The process, and the port that it serves."""

    process: asyncio.subprocess.Process
    port: int

    async def says(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()


@contextlib.asynccontextmanager
async def go_backend_of(image: Path) -> AsyncIterator[GoBackend]:
    """The backend of a descriptor image."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(str(PROGRAM), str(image), stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield GoBackend(process, int(await process.stdout.readline()))
    finally:
        process.stdin.close()  # it ends with its input
        await process.wait()


@pytest.fixture(scope="module")
def contract_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the folder with the contract and its descriptor image."""
    return tmp_path_factory.mktemp("go")


@pytest.fixture(scope="module")
def dialect(contract_folder: Path) -> Dialect:
    """The contract with everything that ProtoJSON has a rule for."""
    return dialect_of(PROTO3, contract_folder)


@pytest.fixture(scope="module")
async def backend(dialect: Dialect, contract_folder: Path) -> AsyncIterator[GoBackend]:
    """The backend of that contract."""
    async with go_backend_of(contract_folder / "test.proto.binpb") as backend:
        yield backend


@pytest.fixture(scope="module")
async def client(dialect: Dialect, backend: GoBackend) -> AsyncIterator[Client]:
    """A client of an edge in front of it."""
    lists: dict[str, Any] = {"request_headers": ASKED, "response_headers": ANSWERED, "body_bytes_max": 32_000_000}
    lists["held_bytes_max"] = 64_000_000
    async with edge_of(dialect.contract, backend.port, **lists) as client:
        yield client
