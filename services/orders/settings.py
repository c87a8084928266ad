"""The settings of the orders service."""

from dataclasses import dataclass

from mesh.settings import Address, DatabaseSettings, EventSettings, ServiceSettings


@dataclass(frozen=True, kw_only=True)
class OrdersSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """A service with a database and events, and where the catalog answers."""

    catalog_address: Address
