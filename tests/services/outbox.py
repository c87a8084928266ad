"""The events that a service has published in its transactions."""

from mesh.database import Database


async def published_names(database: Database) -> list[str]:
    """Returns the names of the events that were published, in their order."""
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT type FROM mesh.outbox ORDER BY id")
    return [row["type"].rpartition(".")[2] for row in rows]
