"""The experiment as users go through it: each exposure and conversion is recorded once, and published for analytics."""

from dataclasses import dataclass
from datetime import datetime

from meshwright.recommendations.v1.events_pb import VariantConverted, VariantExposed
from protobuf.wkt import Timestamp

from mesh.database import Connection
from mesh.events import publish
from services.recommendations import erasure_storage, exposure_storage
from services.recommendations.domain.experiment import Experiment
from services.recommendations.domain.ranking import Ranking
from services.recommendations.exposure_storage import Exposure

SOURCE = "recommendations"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The variant of a user in an experiment, and whether the user has seen it before."""

    user: str
    experiment: Experiment
    variant: Ranking
    is_seen: bool


async def assign(tx: Connection, experiment: Experiment, user: str) -> Assignment:
    """Returns the assignment of a user: the variant that the user has seen, also if the share of the experiment has
    changed since.
    """
    seen = await exposure_storage.find_variant(tx, user, experiment.name)
    variant = experiment.assign(user) if seen is None else Ranking(seen)
    return Assignment(user, experiment, variant, is_seen=seen is not None)


async def expose(tx: Connection, assignment: Assignment, now: datetime) -> None:
    """Records that a user sees the variant, if it is the first time."""
    user, experiment, variant = assignment.user, assignment.experiment.name, assignment.variant.value
    if assignment.is_seen or await erasure_storage.is_erased(tx, user):
        return
    if await exposure_storage.insert(tx, Exposure(user, experiment, variant), now):
        event = VariantExposed(
            user=user, experiment=experiment, variant=variant, expose_time=Timestamp.from_datetime(now)
        )
        await publish(tx, event, source=SOURCE, aggregate=user)


async def convert(tx: Connection, user: str, order: str, order_time: datetime) -> None:
    """Records that a user who saw variants has placed an order."""
    for exposure in await exposure_storage.convert(tx, user, order_time):
        event = VariantConverted(
            user=user,
            experiment=exposure.experiment,
            variant=exposure.variant,
            order=order,
            convert_time=Timestamp.from_datetime(order_time),
        )
        await publish(tx, event, source=SOURCE, aggregate=user)
