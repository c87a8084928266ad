"""The settings of the catalog service."""

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class CatalogSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """A service with a database and events, and nothing more."""
