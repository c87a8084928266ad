"""The settings of the sample_shelf service."""

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class SampleShelfSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events."""
