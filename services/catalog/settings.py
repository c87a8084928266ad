"""The settings of the catalog service."""

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class CatalogSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events."""
