"""The settings of the catalog service."""

from dataclasses import dataclass

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


@dataclass(frozen=True, kw_only=True)
class CatalogSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """A service with a database and events, and nothing more."""
