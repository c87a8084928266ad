"""The settings of the orders service."""

from pydantic import Field

from mesh.settings import Address, DatabaseSettings, EventSettings, ServiceSettings


class OrdersSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events, which calls catalog."""

    catalog_address: Address = Field(description="the gRPC address of catalog", examples=["catalog:9000"])
