"""The migration command."""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from local.postgres import Postgres
from mesh.migrations import ADVISORY_LOCK, MESH_FOLDER, MigrationError, migrate, migrator
from mesh.migrations.__main__ import main

MESH_FILES = sorted(path.stem for path in MESH_FOLDER.glob("*.sql"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A service's migrations folder with one table."""
    (tmp_path / "0001_products.sql").write_text("CREATE TABLE products (name text PRIMARY KEY);")
    return tmp_path


async def _tables(database_url: str) -> set[str]:
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'mesh')"
        )
    finally:
        await connection.close()
    return {f"{row['schemaname']}.{row['tablename']}" for row in rows}


async def test_the_mesh_comes_first_and_a_second_run_does_nothing(database_url: str, folder: Path) -> None:
    """The mesh's tables and the service's are made in that order; running again applies nothing."""
    applied = migrate(database_url, [MESH_FOLDER, folder])
    assert applied == [*MESH_FILES, "0001_products"]
    assert {"mesh.outbox", "mesh.inbox", "mesh.answers", "public.products"} <= await _tables(database_url)
    assert migrate(database_url, [MESH_FOLDER, folder]) == []


async def test_a_migration_makes_no_errors(postgres: Postgres, database_url: str, folder: Path) -> None:
    """The server logs no failed statement, so that an operator who looks for errors finds none."""
    before = (postgres.folder / "log").stat().st_size
    migrate(database_url, [MESH_FOLDER, folder])
    connection = await asyncpg.connect(database_url)
    with pytest.raises(asyncpg.UndefinedTableError):
        await connection.execute("SELECT * FROM none_of_this_name")  # the log holds all that came before it
    await connection.close()
    assert "ERROR:" in (log := (postgres.folder / "log").read_text()[before:])
    assert 'table "yoyo_tmp' not in log.partition("none_of_this_name")[0]


async def test_a_new_file_is_applied_alone(database_url: str, folder: Path) -> None:
    """A file added later is applied, the earlier ones are not repeated."""
    migrate(database_url, [folder])
    (folder / "0002_prices.sql").write_text("ALTER TABLE products ADD COLUMN price bigint NOT NULL DEFAULT 0;")
    assert migrate(database_url, [folder]) == ["0002_prices"]


async def test_functions_and_comments_with_semicolons_are_one_statement(database_url: str, folder: Path) -> None:
    """A function's body, a string and a comment may hold semicolons."""
    (folder / "0002_function.sql").write_text(
        "-- one; two\n"
        "CREATE FUNCTION answer() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 42; END $$;\n"
        "INSERT INTO products VALUES ('a;b 100%');\n"
    )
    assert migrate(database_url, [folder]) == ["0001_products", "0002_function"]


async def test_a_failing_file_leaves_nothing_and_is_named(database_url: str, folder: Path) -> None:
    """The error names the file and repeats the database's message; the file is undone whole, earlier files stay."""
    (folder / "0002_wrong.sql").write_text("CREATE TABLE half (id int);\nALTER TABLE product ADD COLUMN price bigint;")
    with pytest.raises(MigrationError, match=r'0002_wrong\.sql was not applied: relation "product" does not exist'):
        migrate(database_url, [folder])
    tables = await _tables(database_url)
    assert "public.products" in tables
    assert "public.half" not in tables
    (folder / "0002_wrong.sql").write_text("CREATE TABLE half (id int);")
    assert migrate(database_url, [folder]) == ["0002_wrong"]


async def test_two_at_once_apply_each_file_once(database_url: str, folder: Path) -> None:
    """Concurrent migrators of one database wait for each other, and only one does the work."""
    (folder / "0002_slow.sql").write_text("SELECT pg_sleep(0.3); CREATE TABLE slow (id int);")
    folders = [MESH_FOLDER, folder]
    results = await asyncio.gather(*(asyncio.to_thread(migrate, database_url, folders) for _ in range(3)))
    assert sorted(map(len, results)) == [0, 0, len(MESH_FILES) + 2]


async def test_a_killed_migrator_leaves_no_lock(database_url: str, folder: Path) -> None:
    """A migrator killed in the middle of a file blocks nobody: the next one applies the file."""
    (folder / "0002_slow.sql").write_text("CREATE TABLE slow (id int); SELECT pg_sleep(30);")
    script = "import sys, pathlib, mesh.migrations as m; m.migrate(sys.argv[1], [pathlib.Path(sys.argv[2])])"
    migrator = await asyncio.create_subprocess_exec(sys.executable, "-c", script, database_url, str(folder))
    connection = await asyncpg.connect(database_url)
    try:
        while not await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"):
            await asyncio.sleep(0.02)
    finally:
        await connection.close()
    migrator.kill()
    await migrator.wait()
    (folder / "0002_slow.sql").write_text("CREATE TABLE slow (id int);")
    assert migrate(database_url, [folder]) == ["0002_slow"]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (
            {},
            "INFORMATION_DATABASE_URL or DATABASE_URL: is not set. "
            "Example: INFORMATION_DATABASE_URL=postgresql://information:secret@",
        ),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL: must be a URL that starts with postgresql://"),
    ],
)
def test_a_wrong_variable_is_named(
    environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing or wrong variable ends the command with a sentence that names it and shows an example."""
    for name in ("DATABASE_URL", "INFORMATION_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(["information"]) == 1
    assert expected in capsys.readouterr().err


def test_an_unknown_service_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A service that does not exist is an error with its name."""
    assert main(["nosuch"]) == 1
    assert "There is no service 'nosuch'. Name a package of services/." in capsys.readouterr().err


async def test_a_migrator_does_not_wait_for_ever(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second migrator that waits too long for the first, and a database that is away, end with a sentence."""
    monkeypatch.setattr("mesh.migrations.migrator.OTHER_MIGRATOR_TIMEOUT_S", 1)
    monkeypatch.setattr("mesh.migrations.migrator.CONNECT_ATTEMPTS", 1)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f"SELECT pg_advisory_lock({ADVISORY_LOCK})")
        with pytest.raises(MigrationError, match="lock timeout"):
            await asyncio.to_thread(migrate, database_url, [MESH_FOLDER])
    finally:
        await connection.close()
    with pytest.raises(MigrationError, match=r"The database does not answer: .*[Cc]onnection refused"):
        migrate("postgresql://nobody:nothing@127.0.0.1:1/nothing", [MESH_FOLDER])


async def test_a_database_that_can_not_store_every_text(postgres: Postgres, folder: Path) -> None:
    """The error names the encoding, which a statement would only reveal as a type that does not fit."""
    connection = await asyncpg.connect(postgres.url("postgres", "postgres"))
    await connection.execute("CREATE DATABASE ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(MigrationError, match="The database ascii has the encoding SQL_ASCII, and needs UTF8"):
            await asyncio.to_thread(migrate, postgres.url("ascii", "postgres"), [folder])
    finally:
        await connection.execute("DROP DATABASE ascii WITH (FORCE)")
        await connection.close()


def test_a_database_that_starts_late_is_waited_for(
    database_url: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """One that refuses connections for most of a minute is migrated at the first run of the command."""
    refusals = iter(range(50))
    connect = migrator._backend

    def refused_at_first(arguments: dict[str, Any]) -> Any:
        if next(refusals, None) is not None:
            raise psycopg.OperationalError("Connection refused")
        return connect(arguments)

    monkeypatch.setattr(migrator, "_backend", refused_at_first)
    monkeypatch.setattr(migrator, "CONNECT_PAUSE_S", 0)
    assert migrate(database_url, [folder])


def test_a_silent_database_is_given_up(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A connection that is taken and never answered does not hold up the start."""
    monkeypatch.setattr("mesh.migrations.migrator.CONNECT_ATTEMPTS", 1)
    monkeypatch.setattr("mesh.migrations.migrator.CONNECT_TIMEOUT_S", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://ada:x@127.0.0.1:{silent.getsockname()[1]}/shop"
        with pytest.raises(MigrationError, match="does not answer"):
            migrate(url, [folder])


def test_the_primary_is_found_among_several_hosts(database_url: str, folder: Path) -> None:
    """A URL may list hosts with their ports, as that of a service may, and says which of them is to be used."""
    listed = database_url.replace("@", "@127.0.0.1:1,") + "?target_session_attrs=read-write"
    assert migrate(listed, [folder])


def test_a_malformed_url_is_not_shown(folder: Path) -> None:
    """The error has no part of the URL, which contains the password."""
    with pytest.raises(MigrationError) as caught:
        migrate("postgresql://ada:topsecret@[::1]topsecret/shop", [folder])
    assert str(caught.value) == "The URL of the database is malformed."
    assert caught.value.__suppress_context__
