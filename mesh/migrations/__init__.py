"""Migrations: the mesh's own tables (schema/), then a service's. A process of its own, which no service imports."""

from mesh.migrations.migrator import ADVISORY_LOCK, MESH_FOLDER, MigrationError, migrate

__all__ = ["ADVISORY_LOCK", "MESH_FOLDER", "MigrationError", "migrate"]
