"""The settings of the inventory service."""

from datetime import timedelta

from pydantic import Field

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class InventorySettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events."""

    reservation_valid_s: float = Field(
        default=1800.0,
        ge=1,
        le=7 * 86400,
        description="how long units stay reserved for an order that is not paid yet, in seconds; longer than the "
        "limits of the steps of an order",
    )

    @property
    def reservation_valid_for(self) -> timedelta:
        """Returns how long units stay reserved."""
        return timedelta(seconds=self.reservation_valid_s)
