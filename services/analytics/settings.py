"""The settings of the analytics service."""

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class AnalyticsSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events."""
