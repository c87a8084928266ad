"""The SQL of the model: its versions, and the list of each product. Every function runs in its caller's transaction."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from mesh.database import Connection
from services.recommendations.domain.ranking import Neighbour, Ranking

VERSIONS_KEPT: Final = 1000

Lists = Mapping[tuple[UUID, Ranking], Sequence[Neighbour]]
"""Lists by product and ranking."""


@dataclass(frozen=True, slots=True)
class Model:
    """A version of the model."""

    version: int
    train_time: datetime


async def replace_lists(tx: Connection, products: Collection[UUID], lists: Lists) -> int:
    """Replaces the lists of products, by which the model gets its next version. Returns that."""
    await tx.execute("DELETE FROM neighbours WHERE product = ANY($1)", list(products))
    rows = [
        (product, ranking.value, position, neighbour.product, neighbour.score)
        for (product, ranking), neighbours in lists.items()
        for position, neighbour in enumerate(neighbours)
    ]
    await tx.copy_records_to_table("neighbours", records=rows)
    query = "INSERT INTO models (lists) VALUES ($1) RETURNING version"
    version: int = await tx.fetchval(query, len(products))
    await _purge_versions(tx, version - VERSIONS_KEPT)
    return version


async def _purge_versions(tx: Connection, until: int) -> None:
    """Deletes old versions, more than the one that a training adds."""
    query = """
        DELETE FROM models WHERE version IN (
            SELECT version FROM models WHERE version <= $1 ORDER BY version LIMIT 2
        )
    """
    await tx.execute(query, until)


async def find_model(tx: Connection) -> Model | None:
    """Returns the current version, None before the first training."""
    row = await tx.fetchrow("SELECT version, train_time FROM models ORDER BY version DESC LIMIT 1")
    return None if row is None else Model(row["version"], row["train_time"])


async def find_neighbours(
    tx: Connection, products: Sequence[UUID], ranking: Ranking, limit_each: int
) -> list[Neighbour]:
    """Returns the first products in the lists of products, those that can be bought."""
    query = """
        SELECT listed.other, listed.score FROM unnest($1::uuid[]) AS given (product) CROSS JOIN LATERAL (
            SELECT other, score, position FROM neighbours WHERE neighbours.product = given.product AND ranking = $2
            AND NOT EXISTS (SELECT FROM withdrawn_products WHERE withdrawn_products.product = other AND withdrawn)
            ORDER BY position LIMIT $3
        ) AS listed ORDER BY listed.position
    """
    rows = await tx.fetch(query, products, ranking.value, limit_each)
    return [Neighbour(row["other"], row["score"]) for row in rows]
