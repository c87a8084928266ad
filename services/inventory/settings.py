"""The settings of the inventory service."""

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class InventorySettings(ServiceSettings, DatabaseSettings, EventSettings):
    """A service with a database and events, and nothing more."""
