"""The settings of the payments service."""

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class PaymentsSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """A service with a database and events, and nothing more."""
