"""The table of wakeups: endpoints that got a delivery since the workers looked."""

from collections.abc import Iterable
from typing import Final
from uuid import UUID

from mesh.database import Connection

DRAINED_MAX: Final = 100


async def add(tx: Connection, endpoints: Iterable[UUID]) -> None:
    """Adds endpoints. Transactions that add the same ones do not wait for each other."""
    await tx.execute("INSERT INTO webhook_wakeups (endpoint_uid) SELECT unnest($1::uuid[])", list(endpoints))


async def drain(tx: Connection) -> None:
    """Makes the endpoints due that were added first, and removes them from the table."""
    query = "SELECT id, endpoint_uid FROM webhook_wakeups ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"
    rows = await tx.fetch(query, DRAINED_MAX)
    if not rows:
        return
    await tx.execute("DELETE FROM webhook_wakeups WHERE id = ANY($1)", [row["id"] for row in rows])
    endpoints = list({row["endpoint_uid"] for row in rows})
    # In one order, so that two workers do not wait for each other in a circle.
    await tx.execute("SELECT FROM webhook_endpoints WHERE uid = ANY($1) ORDER BY uid FOR NO KEY UPDATE", endpoints)
    await tx.execute("UPDATE webhook_endpoints SET due_time = LEAST(due_time, now()) WHERE uid = ANY($1)", endpoints)
