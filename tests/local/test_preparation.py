"""The steps before the processes of the local mesh start."""

import io
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg

from local.declarations.checkout import read_services
from local.home import Home
from local.nats import Nats
from local.output import Console
from local.postgres import Postgres
from local.preparation import Preparation

ROOT = Path(__file__).resolve().parents[2]


async def test_databases_that_are_gone_are_migrated_again() -> None:
    """New data has no tables, although the same migrations were applied to the old data."""
    services = [service for service in read_services(ROOT) if service.name == "catalog"]
    with TemporaryDirectory() as name, Console(["migrations"], io.BytesIO()) as console:
        Path(name).chmod(0o711)  # PostgreSQL's own user can enter it
        home = Home(Path(name, "mesh"))
        home.create()
        for _ in range(2):
            async with Postgres(home.data("postgres")) as postgres:
                broker = Nats(home.data("nats"), [])
                await Preparation(home, services, postgres, broker, console).prepare_databases()
                connection = await asyncpg.connect(postgres.url("catalog"))
                assert await connection.fetchval("SELECT count(*) FROM products") == 0
                await connection.close()
            shutil.rmtree(postgres.data)
