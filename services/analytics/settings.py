"""The settings of the analytics service."""

from pydantic import Field

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings


class AnalyticsSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of the analytics service."""

    events_of_user_per_day: int = Field(
        1_000_000, ge=1, description="how many new events a user may report on a day (UTC)", examples=[1_000_000]
    )
