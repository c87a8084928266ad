"""The settings of the recommendations service."""

from typing import Annotated, Final

from pydantic import Field

from mesh.settings import DatabaseSettings, EventSettings, ServiceSettings, matching
from services.recommendations.domain.experiment import Experiment

EXPERIMENT_PREFIX: Final = "recommendations."
"""Has a dot, which the names of clients' experiments can't have: nobody else can count exposures of ours."""

ExperimentName = Annotated[
    str, matching(r"^[a-z0-9-]{1,24}\Z", "must be 1 to 24 lower-case letters, digits and hyphens")
]


class RecommendationsSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events, which runs one experiment."""

    experiment: ExperimentName = Field(
        "ranking-1",
        description="the name of the experiment that compares the rankings; under another name it begins anew",
        examples=["ranking-2"],
    )
    experiment_share_percent: int = Field(
        50,
        ge=0,
        le=100,
        description="the share of users who get the challenging ranking; at 0 and at 100 no experiment is running",
        examples=[50],
    )

    @property
    def running_experiment(self) -> Experiment:
        """Returns the experiment, under the name by which analytics counts it."""
        return Experiment(f"{EXPERIMENT_PREFIX}{self.experiment}", self.experiment_share_percent)
