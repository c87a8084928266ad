"""Migration of one database: each file in a transaction, one migrator at a time."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import read_migrations
from yoyo.backends import get_backend_class
from yoyo.connections import DatabaseURI
from yoyo.exceptions import BadMigration, MigrationConflict
from yoyo.migrations import default_migration_table

MESH_FOLDER = Path(__file__).parent / "schema"
ADVISORY_LOCK = 0x6D657368_0001  # "mesh", 1: held by the one migrator of a database
OTHER_MIGRATOR_TIMEOUT_S = 60
LOCK_TIMEOUT_S = 5  # a statement that waits for a lock blocks all later ones that conflict with it
CONNECT_ATTEMPTS = 60  # a PostgreSQL that is installed together with all services takes a minute on a busy node
CONNECT_PAUSE_S = 1.0
CONNECT_TIMEOUT_S = 5  # a packet may be lost when a Service gets its first pod; the kernel would wait two minutes


class MigrationError(Exception):
    """A migration that could not be applied, and was rolled back. The message is for an operator."""


def migrate(database_url: str, folders: Sequence[Path]) -> list[str]:
    """Applies the missing migrations, each in one transaction together with its record; returns their names. Raises
    MigrationError.
    """
    try:
        with _connect(database_url) as backend:
            _check_encoding(backend.connection)
            _lock(backend)
            missing = backend.to_apply(read_migrations(*map(str, folders)))
            for migration in missing:
                _apply(backend, migration)
            return [migration.id for migration in missing]
    except (BadMigration, MigrationConflict) as error:
        raise MigrationError(f"The migrations can't be read: {error}") from error
    except psycopg.Error as error:
        raise MigrationError(f"The database can't be migrated: {_one_line(error)}") from error


def _lock(backend: Any) -> None:
    """Waits for other migrators of this database, and takes the lock.

    yoyo's own lock is a row, which a killed migrator leaves behind. An advisory lock ends with its connection, which
    the server checks every second.
    """
    backend.create_lock_table()
    backend.execute("SET client_connection_check_interval = '1s'")
    backend.execute(f"SET lock_timeout = '{OTHER_MIGRATOR_TIMEOUT_S}s'")
    backend.execute(f"SELECT pg_advisory_lock({ADVISORY_LOCK})")
    backend.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
    backend.break_lock()


def _connect(database_url: str) -> Any:
    try:
        arguments = conninfo_to_dict(database_url, connect_timeout=CONNECT_TIMEOUT_S)
    except psycopg.ProgrammingError:
        # The driver's message may repeat the URL, with the password.
        raise MigrationError("The URL of the database is malformed.") from None
    for attempt in range(1, CONNECT_ATTEMPTS + 1):
        try:
            return _backend(arguments)
        except psycopg.OperationalError as error:
            if attempt == CONNECT_ATTEMPTS:
                raise MigrationError(f"The database does not answer: {_one_line(error)}") from error
            time.sleep(CONNECT_PAUSE_S)
    raise AssertionError("unreachable")


def _backend(arguments: dict[str, Any]) -> Any:
    """Returns yoyo's backend without calling its get_backend(), which finds out whether the database can roll back DDL
    by a statement that fails, and that the server logs as an error. PostgreSQL can. Nor does yoyo read the URL, because
    it knows only one host and port.
    """
    uri = DatabaseURI("postgresql+psycopg", None, None, None, None, None, arguments)
    return get_backend_class(uri.scheme)(uri, default_migration_table)


def _check_encoding(connection: psycopg.Connection) -> None:
    """Raises MigrationError if the database can't store every text. Without a locale `initdb` chooses SQL_ASCII."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        name = connection.info.dbname
        raise MigrationError(
            f"The database {name} has the encoding {encoding}, and needs UTF8. Create it with "
            f"CREATE DATABASE {name} ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0."
        )


def _apply(backend: Any, migration: Any) -> None:
    """Applies a migration and records it in one transaction. yoyo's apply_one() uses two, so that a migrator killed in
    between would apply the file twice.
    """
    try:
        with backend.transaction():
            migration.process_steps(backend, "apply")
            backend.mark_one(migration, log=False)
    except psycopg.Error as error:
        raise MigrationError(f"{migration.path} was not applied: {_one_line(error)}") from error


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())
