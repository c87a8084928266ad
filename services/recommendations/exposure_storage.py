"""The SQL of exposures: users who saw a variant of an experiment. Every function runs in its caller's transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from mesh.database import Connection
from services.recommendations.domain.experiment import CONVERSION_WITHIN

KEPT_FOR: Final = timedelta(days=732)
"""For longer than analytics counts an exposure, so that it counts each user once."""

PURGED_PER_CALL_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Exposure:
    """A user's part in an experiment."""

    user: str
    experiment: str
    variant: str


async def find_variant(tx: Connection, user: str, experiment: str) -> str | None:
    """Returns the variant that a user has seen, None if the user has seen none."""
    query = "SELECT variant FROM exposures WHERE user_name = $1 AND experiment = $2"
    variant: str | None = await tx.fetchval(query, user, experiment)
    return variant


async def insert(tx: Connection, exposure: Exposure, now: datetime) -> bool:
    """Writes an exposure. Returns False if the user has seen a variant before."""
    query = "INSERT INTO exposures VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING RETURNING true"
    values = (exposure.user, exposure.experiment, exposure.variant, now)
    return bool(await tx.fetchval(query, *values))


async def convert(tx: Connection, user: str, order_time: datetime) -> list[Exposure]:
    """Marks the exposures of a user as converted by an order that was placed at this time. Returns those that were not
    yet.
    """
    query = """
        UPDATE exposures SET converted = true
        WHERE user_name = $1 AND NOT converted AND expose_time <= $2 AND expose_time > $2 - $3::interval
        RETURNING user_name, experiment, variant
    """
    rows = await tx.fetch(query, user, order_time, CONVERSION_WITHIN)
    return [Exposure(*row) for row in rows]


async def delete_of(tx: Connection, user: str) -> None:
    """Deletes the exposures of a user."""
    await tx.execute("DELETE FROM exposures WHERE user_name = $1", user)


async def purge(tx: Connection, now: datetime) -> int:
    """Deletes old exposures, at most PURGED_PER_CALL_MAX. Returns their number. Waits for no erasure, which deletes
    them in another order.
    """
    query = """
        WITH purged AS (
            DELETE FROM exposures WHERE (user_name, experiment) IN (
                SELECT user_name, experiment FROM exposures WHERE expose_time < $1 ORDER BY expose_time LIMIT $2
                FOR UPDATE SKIP LOCKED
            ) RETURNING 1
        ) SELECT count(*) FROM purged
    """
    purged: int = await tx.fetchval(query, now - KEPT_FOR, PURGED_PER_CALL_MAX)
    return purged
