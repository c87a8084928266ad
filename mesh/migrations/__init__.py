"""Database migrations: first the mesh's own tables (schema/), then a service's. No service imports this package."""

from mesh.migrations.migrator import ADVISORY_LOCK, MESH_FOLDER, MigrationError, migrate

__all__ = ["ADVISORY_LOCK", "MESH_FOLDER", "MigrationError", "migrate"]
