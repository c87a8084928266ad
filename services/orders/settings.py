"""The settings of the orders service."""

from datetime import timedelta

from pydantic import Field

from mesh.settings import Address, ClientSettings, DatabaseSettings, EventSettings, ServiceSettings
from services.orders.domain import Limits

DAY_S = 24 * 3600


class OrdersSettings(ServiceSettings, ClientSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events, which calls catalog for customers, and inventory and
    payments as itself.
    """

    catalog_address: Address = Field(description="the gRPC address of catalog", examples=["catalog:9000"])
    inventory_address: Address = Field(description="the gRPC address of inventory", examples=["inventory:9000"])
    payments_address: Address = Field(description="the gRPC address of payments", examples=["payments:9000"])
    stock_limit_s: float = Field(
        60.0,
        ge=1,
        le=30 * DAY_S,
        description="how long an order may wait for stock before it is retried, and then before it is cancelled",
        examples=[60],
    )
    payment_limit_s: float = Field(
        120.0,
        ge=1,
        le=30 * DAY_S,
        description="how long an order may wait for its payment before it is retried, and then before it is cancelled",
        examples=[120],
    )
    payment_review_limit_s: float = Field(
        float(DAY_S),
        ge=1,
        le=30 * DAY_S,
        description="how long an order may wait for the review of its payment before it is cancelled",
        examples=[DAY_S],
    )

    @property
    def limits(self) -> Limits:
        """Returns the limits of the steps of an order."""
        return Limits(
            timedelta(seconds=self.stock_limit_s),
            timedelta(seconds=self.payment_limit_s),
            timedelta(seconds=self.payment_review_limit_s),
        )
