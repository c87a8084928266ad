"""The settings of the orders service."""

from pydantic import Field

from mesh.settings import Address, DatabaseSettings, EventSettings, ServiceSettings


class OrdersSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """A service with a database and events, and where the catalog answers."""

    catalog_address: Address = Field(description="where the catalog answers gRPC", examples=["catalog:9000"])
