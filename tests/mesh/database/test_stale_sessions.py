"""Sessions that keep the server, the role and the settings with which they began, when these are no longer right."""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest

from local.postgres import SUPERUSER, Postgres
from mesh.database import Database, Session
from mesh.errors import Unavailable
from mesh.settings import DatabaseSettings

READ_ONLY = "default_transaction_read_only = on"


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator[Session]:
    """Connects as the role of the database, before a test changes the settings of the role, and makes a table."""
    session = await asyncpg.connect(database_url)
    try:
        await session.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
        yield session
    finally:
        await session.close()


def _open(url: str) -> contextlib.AbstractAsyncContextManager[Database]:
    return Database.open(DatabaseSettings(database_url=url, database_pool_size=2), "test")


async def _connect_all(database: Database) -> None:
    """Opens both connections of the pool."""
    async with database.transaction() as tx, database.transaction() as other:
        await tx.execute("SELECT 1")
        await other.execute("SELECT 1")


async def _insert(database: Database) -> None:
    async with database.autocommit() as connection:
        await connection.execute("INSERT INTO numbers SELECT count(*) FROM numbers")


async def _insert_soon(database: Database) -> None:
    """Inserts as callers do, who try again while the database is unavailable. Then no session may fail."""
    async with asyncio.timeout(30):
        while True:
            try:
                await _insert(database)
                break
            except Unavailable:
                await asyncio.sleep(0.05)
    async with database.transaction() as tx, database.transaction() as other:
        await tx.execute("INSERT INTO numbers VALUES (1000)")
        await other.execute("INSERT INTO numbers VALUES (1001)")


@pytest.mark.parametrize("setting", [READ_ONLY, "search_path = pg_catalog"])
async def test_sessions_with_outdated_settings_are_replaced(admin: Session, database_url: str, setting: str) -> None:
    """A pool that connected while the role had settings that prevent writes writes again once they are gone, also if
    all of its connections are in use all the time.
    """
    await admin.execute(f"ALTER ROLE CURRENT_USER SET {setting}")
    async with _open(database_url) as database:
        await _connect_all(database)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await _insert(database)
            await _connect_all(database)
        await admin.execute("ALTER ROLE CURRENT_USER RESET ALL")
        await _insert_soon(database)


async def test_a_read_only_database_is_ready_and_read(admin: Session, database_url: str) -> None:
    """Reads go on while writes are unavailable, and the process stays ready: no restart would help."""
    await admin.execute(f"ALTER ROLE CURRENT_USER SET {READ_ONLY}")
    async with _open(database_url) as database:
        with pytest.raises(Unavailable):
            await _insert(database)
        await database.check()
        async with database.transaction() as tx:
            assert await tx.fetchval("SELECT count(*) FROM numbers") == 0


async def test_failed_writes_do_not_cost_a_connection_each(
    admin: Session, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database stays read-only, writes that fail in new sessions leave these to the reads."""
    monkeypatch.setattr("mesh.database.database.RETRY_AFTER_S", 3600.0)
    await admin.execute(f"ALTER ROLE CURRENT_USER SET {READ_ONLY}")
    sessions = []
    async with _open(database_url) as database:
        for _ in range(5):
            async with database.autocommit() as connection:
                sessions.append(await connection.fetchval("SELECT pg_backend_pid()"))
            with pytest.raises(Unavailable):
                await _insert(database)
    assert sessions[0] not in sessions[1:]
    assert len(set(sessions[1:])) == 1


async def test_sessions_of_a_role_that_was_created_anew_are_replaced(
    admin: Session, postgres: Postgres, database_url: str
) -> None:
    """A session whose role was dropped never has a privilege again, whatever the new role of that name has."""
    role = await admin.fetchval("SELECT current_user")
    superuser = await asyncpg.connect(postgres.url(role, SUPERUSER))
    password = database_url.partition(f"{role}:")[2].partition("@")[0]
    try:
        async with _open(database_url) as database:
            await _connect_all(database)
            await superuser.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER; DROP OWNED BY {role}; DROP ROLE {role}")
            await superuser.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
            await superuser.execute(f"ALTER DATABASE {role} OWNER TO {role}; ALTER TABLE numbers OWNER TO {role}")
            await _insert_soon(database)
    finally:
        await superuser.close()


async def test_a_migration_outdates_statements_once(admin: Session, database_url: str) -> None:
    """A statement whose columns have changed fails once at most, and is prepared anew in all sessions."""

    async def read(database: Database) -> None:
        async with database.transaction() as tx, database.transaction() as other:
            await tx.fetch("SELECT * FROM numbers")
            await other.fetch("SELECT * FROM numbers")

    async with _open(database_url) as database:
        await read(database)
        await admin.execute("ALTER TABLE numbers ADD COLUMN text text")
        with pytest.raises(Unavailable):
            await read(database)
        await read(database)


@pytest.fixture
def own_folder(server_folder: Path) -> Iterator[Path]:
    """Makes a folder for the servers of one test."""
    with TemporaryDirectory(dir=server_folder) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
async def primary(own_folder: Path) -> AsyncIterator[Postgres]:
    """Starts a server with a table, which is copied before it runs on."""
    async with Postgres(own_folder / "primary") as server:
        await server.create_databases("moving")
        session = await asyncpg.connect(server.url("moving"))
        await session.execute("CREATE TABLE numbers (n int PRIMARY KEY)")
        await session.close()
        await server.stop()
        copy = ("cp", "-a", str(server.folder), str(own_folder / "standby"))
        await asyncio.to_thread(subprocess.run, copy, check=True)
        await server.start()
        yield server


@pytest.fixture
async def standby(primary: Postgres) -> AsyncIterator[Postgres]:
    """Starts the copy of the primary, which is read-only until it is promoted."""
    folder = primary.folder.with_name("standby")
    (folder / "data" / "standby.signal").touch()
    async with Postgres(folder) as server:
        yield server


class Address:
    """An address that leads to a server, and later to another one. Connections stay with the server that they have."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.port = 0

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Forwards connections until the end of the block."""
        async with await asyncio.start_server(self._connected, "127.0.0.1", 0) as listening:
            self.port = listening.sockets[0].getsockname()[1]
            yield

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", self.server.port)
        await asyncio.gather(_carry(reader, forth), _carry(back, writer), return_exceptions=True)


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.closing(target):
        while piece := await source.read(65536):
            target.write(piece)


async def test_sessions_at_a_standby_are_replaced(primary: Postgres, standby: Postgres) -> None:
    """A pool that an outdated DNS record has led to a standby follows the record once that names the primary."""
    address = Address(standby)
    async with address.open():
        url = standby.url("moving").replace(f":{standby.port}/", f":{address.port}/")
        async with _open(url) as database:
            await _connect_all(database)
            with pytest.raises(Unavailable):
                await _insert(database)
            await database.check()
            await _connect_all(database)
            with pytest.raises(Unavailable):
                async with database.session(writable=True):
                    pass
            address.server = primary
            await _insert_soon(database)


async def test_the_primary_is_found_among_several_hosts(primary: Postgres, standby: Postgres) -> None:
    """A URL may name all hosts: by target_session_attrs the primary is used, also after a failover."""
    hosts = f":{standby.port},127.0.0.1:{primary.port}/"
    url = standby.url("moving").replace(f":{standby.port}/", hosts) + "?target_session_attrs=read-write"
    async with _open(url) as database:
        await _insert(database)
        await primary.kill()
        with pytest.raises(Unavailable):
            await _insert(database)
        superuser = await asyncpg.connect(standby.url("moving", SUPERUSER))
        assert await superuser.fetchval("SELECT pg_promote()")
        await superuser.close()
        await _insert_soon(database)
