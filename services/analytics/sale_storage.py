"""The SQL of sales: their steps, in the order in which they were recorded."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from mesh.database import Connection, lock_relation
from mesh.money import Money
from mesh.position import Key
from services.analytics.domain import Metric, SaleStep

KEY_TYPES: Final[tuple[type[Key], ...]] = (int,)
"""The position of a step."""

STEPS_MAX: Final = 100
KEPT_FOR: Final = timedelta(days=731)
PURGED_PER_STEP_MAX: Final = 2


async def insert(tx: Connection, step: SaleStep, person: int | None) -> None:
    """Inserts a step, and deletes some that are too old."""
    await lock_relation(tx, "sales")
    await tx.execute(
        """
        INSERT INTO sales (metric, order_name, person, units, currency, hundredths, event_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        step.metric.value,
        step.order,
        person,
        step.units,
        step.amount.currency,
        step.amount.hundredths,
        step.time,
    )
    await tx.execute(
        """
        DELETE FROM sales WHERE record_time < now() - $1::interval AND sequence = ANY(ARRAY(
            SELECT sequence FROM sales ORDER BY sequence LIMIT $2
        ))
        """,
        KEPT_FOR,
        PURGED_PER_STEP_MAX,
    )


async def last_sequence(tx: Connection) -> int:
    """Returns the position of the last step, 0 if there is none."""
    sequence: int = await tx.fetchval("SELECT coalesce(max(sequence), 0) FROM sales")
    return sequence


async def list_steps(tx: Connection, after: Sequence[Key]) -> list[tuple[int, SaleStep]]:
    """Returns the steps after a position, each with its own, at most STEPS_MAX."""
    query = f"""
        SELECT sequence, metric, order_name, units, currency, hundredths, event_time
        FROM sales WHERE sequence > $1 ORDER BY sequence LIMIT {STEPS_MAX}
    """
    return [
        (
            row["sequence"],
            SaleStep(
                Metric(row["metric"]),
                row["order_name"],
                row["units"],
                Money(row["currency"], row["hundredths"]),
                row["event_time"],
            ),
        )
        for row in await tx.fetch(query, *after)
    ]
