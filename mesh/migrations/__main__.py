"""The command that migrates databases: the mesh's own tables, then the service's migrations/*.sql in order of name.

    python -m mesh.migrations <service> [<service> …]

The database of each service is <SERVICE>_DATABASE_URL, or DATABASE_URL if only one service is named. The command may
run repeatedly and concurrently. A file that was applied is never read again, so every change needs a new file; write it
so that the service's previous version still works with the new schema.
"""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import AliasChoices, Field, create_model
from pydantic_settings import SettingsConfigDict

from mesh.migrations.migrator import MESH_FOLDER, MigrationError, migrate
from mesh.settings import InvalidSettings, MeshSettings, PostgresUrl, read


def _service_folder(service: str) -> Path:
    spec = importlib.util.find_spec(f"services.{service}") if service.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise MigrationError(f"There is no service {service!r}. Name a package of services/.")
    return Path(spec.submodule_search_locations[0], "migrations")


class MigrationSettings(MeshSettings):
    """The base class of the settings for one service. An empty variable counts as not set."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    database_url: PostgresUrl


def _database_url(service: str, alone: bool) -> str:
    """Returns the URL of the service's database. Raises MigrationError if it is not set or invalid."""
    names = [f"{service}_database_url", *(["database_url"] if alone else [])]
    url = Field(
        validation_alias=AliasChoices(*names), examples=[f"postgresql://{service}:secret@postgres:5432/{service}"]
    )
    try:
        settings = read(create_model("Settings", __base__=MigrationSettings, database_url=(PostgresUrl, url)))
    except InvalidSettings as error:
        raise MigrationError(str(error)) from error
    return settings.database_url.get_secret_value()


def main(services: Sequence[str]) -> int:
    """Migrates the database of each service, continuing after failures, and prints the results. Returns the exit
    status.
    """
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
