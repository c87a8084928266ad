"""Brings databases to their newest schema: the mesh's own tables, then the service's migrations/*.sql by name.

    python -m mesh.migrations <service> [<service> …]

The database of each is <SERVICE>_DATABASE_URL, or DATABASE_URL when one service is named. A process of its own:
services never import this, and it may run again, or twice at once, without harm. A file that was applied is never read
again, so a change is a new file; write it so that the service's previous version still works on the result.
"""

import importlib.util
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
from pydantic import AliasChoices, Field, create_model
from pydantic_settings import SettingsConfigDict
from yoyo import get_backend, read_migrations
from yoyo.exceptions import BadMigration, MigrationConflict

from mesh.settings import MeshSettings, PostgresUrl, WrongSettings, read

MESH_FOLDER = Path(__file__).parent / "schema"
ADVISORY_LOCK = 0x6D657368_0001  # "mesh", 1: two migrators of one database wait for each other
OTHER_MIGRATOR_TIMEOUT_S = 60
LOCK_TIMEOUT_S = 5  # a statement that waits for a lock holds up all who come after it
CONNECT_ATTEMPTS = 10
CONNECT_PAUSE_S = 1.0
CONNECT_TIMEOUT_S = 5  # or a lost packet, as when a Service gets its first pod, costs the kernel's two minutes


class MigrationError(Exception):
    """A migration could not be applied; nothing of that file was. The text is for an operator."""


def migrate(database_url: str, folders: Sequence[Path]) -> list[str]:
    """Applies what is missing, each file in one transaction with the record that it was applied; returns the names.

    Raises MigrationError.
    """
    try:
        with _connect(database_url) as backend:
            _lock(backend)
            missing = backend.to_apply(read_migrations(*map(str, folders)))
            for migration in missing:
                _apply(backend, migration)
            return [migration.id for migration in missing]
    except (BadMigration, MigrationConflict) as error:
        raise MigrationError(f"The migrations cannot be read: {error}") from error
    except psycopg.Error as error:
        raise MigrationError(f"The database cannot be migrated: {_one_line(error)}") from error


def _lock(backend: Any) -> None:
    """Waits for other migrators of this database.

    The tool's own lock is a row, which a killed migrator leaves behind. An advisory lock ends with its connection, and
    the server looks every second whether that is still there.
    """
    backend.execute("SET client_connection_check_interval = '1s'")
    backend.execute(f"SET lock_timeout = '{OTHER_MIGRATOR_TIMEOUT_S}s'")
    backend.execute(f"SELECT pg_advisory_lock({ADVISORY_LOCK})")
    backend.execute(f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'")
    backend.break_lock()


def _connect(database_url: str) -> Any:
    url = "postgresql+psycopg://" + database_url.partition("://")[2]
    url += f"{'&' if '?' in url else '?'}connect_timeout={CONNECT_TIMEOUT_S}"
    for attempt in range(1, CONNECT_ATTEMPTS + 1):
        try:
            return get_backend(url)
        except psycopg.OperationalError as error:
            if attempt == CONNECT_ATTEMPTS:
                raise MigrationError(f"The database does not answer: {_one_line(error)}") from error
            time.sleep(CONNECT_PAUSE_S)
    raise AssertionError("unreachable")


def _apply(backend: Any, migration: Any) -> None:
    """yoyo's own apply_one() records in a second transaction: killed in between, it would apply the file twice."""
    try:
        with backend.transaction():
            migration.process_steps(backend, "apply")
            backend.mark_one(migration, log=False)
    except psycopg.Error as error:
        raise MigrationError(f"{migration.path} was not applied: {_one_line(error)}") from error


def _one_line(error: psycopg.Error) -> str:
    return " ".join(str(error).split())


def _service_folder(service: str) -> Path:
    spec = importlib.util.find_spec(f"services.{service}") if service.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise MigrationError(f"There is no service {service!r}.")
    return Path(spec.submodule_search_locations[0], "migrations")


class MigrationSettings(MeshSettings):
    """The base class of the settings for one service. A variable that is empty counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    database_url: PostgresUrl


def _database_url(service: str, alone: bool) -> str:
    """Returns the URL of the service's database. Raises MigrationError."""
    names = [f"{service}_database_url", *(["database_url"] if alone else [])]
    url = Field(
        validation_alias=AliasChoices(*names), examples=[f"postgresql://{service}:secret@postgres:5432/{service}"]
    )
    try:
        settings = read(create_model("Settings", __base__=MigrationSettings, database_url=(PostgresUrl, url)))
    except WrongSettings as error:
        raise MigrationError(str(error)) from error
    return settings.database_url.get_secret_value()


def main(services: Sequence[str]) -> int:
    """Migrates each service's database and says what it did; if one fails, the others still are. Returns the status."""
    if not services:
        print("usage: python -m mesh.migrations <service> [<service> …]", file=sys.stderr)
        return 2
    status = 0
    for service in services:
        try:
            folders = [MESH_FOLDER, _service_folder(service)]
            applied = migrate(_database_url(service, alone=len(services) == 1), folders)
        except MigrationError as error:
            print(f"{service}: {error}", file=sys.stderr)
            status = 1
        else:
            print(f"{service}: applied {', '.join(applied)}" if applied else f"{service}: up to date")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
