"""The databases of the running mesh, as the audit reads them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import asyncpg

Databases: TypeAlias = "Mapping[str, asyncpg.Connection[asyncpg.Record]]"
"""A connection to the database of each service, by its name."""


@asynccontextmanager
async def opened(urls: Mapping[str, str]) -> AsyncIterator[Databases]:
    """Connects to the databases of services, by their names."""
    async with AsyncExitStack() as stack:
        connections = {}
        for name, url in urls.items():
            connections[name] = await asyncpg.connect(url)
            stack.push_async_callback(connections[name].close)
        yield connections


async def count(database: "asyncpg.Connection[asyncpg.Record]", what: str) -> int:
    """Counts the rows of a table, or of a table with a condition."""
    rows: int = await database.fetchval(f"SELECT count(*) FROM {what}")
    return rows
