"""Real servers for the tests: one PostgreSQL and one NATS for the run, an empty database for each test that asks."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from mesh.database import Database
from mesh.local.nats import Nats
from mesh.local.postgres import Postgres
from mesh.migrations import MESH_FOLDER, migrate
from mesh.settings import DatabaseSettings


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can enter, which pytest's temporary folders are not when we are root."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="session")
async def postgres(server_folder: Path) -> AsyncIterator[Postgres]:
    """A PostgreSQL that all tests share: do not stop it. Tests that do start their own."""
    async with Postgres(server_folder / "postgres") as server:
        yield server
        await server.kill()  # its data is thrown away: an orderly stop would first write a hundred databases to disk


@pytest.fixture(scope="session")
def _database_names() -> Iterator[str]:
    return (f"test_{number}" for number in itertools.count(1))


@pytest.fixture
async def database_url(postgres: Postgres, _database_names: Iterator[str]) -> str:
    """A fresh, empty database and the role that owns it."""
    name = next(_database_names)
    await postgres.create_databases(name)
    return postgres.url(name)


@pytest.fixture
async def open_database(database_url: str) -> AsyncIterator[Callable[..., Awaitable[Database]]]:
    """Opens the test's database; it has the mesh's tables and those of the service that is named, if one is."""
    async with AsyncExitStack() as stack:

        async def open_(service: str | None = None) -> Database:
            folders = [MESH_FOLDER, *([Path("services", service, "migrations")] if service else [])]
            migrate(database_url, folders)
            settings = DatabaseSettings(database_url=database_url)
            return await stack.enter_async_context(Database.open(settings, service or "test"))

        yield open_


@pytest.fixture(scope="session")
async def nats_server(server_folder: Path) -> AsyncIterator[Nats]:
    """A NATS with JetStream that all tests share: do not stop it. Tests that do start their own."""
    async with Nats(server_folder / "nats") as server:
        yield server


@pytest.fixture(scope="session")
def nats_url(nats_server: Nats) -> str:
    """Where the shared NATS answers, with its credentials."""
    return nats_server.url
