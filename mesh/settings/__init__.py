"""Settings of processes: pydantic-settings classes, and messages for invalid environment variables.

Each setting is the environment variable of its name in upper case.
"""

from mesh.settings.groups import (
    ClientSettings,
    DatabaseSettings,
    EventSettings,
    MeshSettings,
    ProcessSettings,
    ServiceSettings,
)
from mesh.settings.loading import EXIT_INVALID_SETTINGS, InvalidSettings, load, read
from mesh.settings.messages import variables
from mesh.settings.values import (
    PORT_FROM_1,
    Address,
    BrokerUrl,
    HttpUrl,
    HttpUrlOrEmpty,
    Port,
    PostgresUrl,
    Text,
    matching,
)

__all__ = [
    "EXIT_INVALID_SETTINGS",
    "PORT_FROM_1",
    "Address",
    "BrokerUrl",
    "ClientSettings",
    "DatabaseSettings",
    "EventSettings",
    "HttpUrl",
    "HttpUrlOrEmpty",
    "InvalidSettings",
    "MeshSettings",
    "Port",
    "PostgresUrl",
    "ProcessSettings",
    "ServiceSettings",
    "Text",
    "load",
    "matching",
    "read",
    "variables",
]
