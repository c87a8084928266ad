"""The settings of the support service."""

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class SupportSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events."""
