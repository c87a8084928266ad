"""A transaction on one connection."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from mesh.database.connection import Connection


@asynccontextmanager
async def transaction_on(connection: Connection, settings: Mapping[str, str | int]) -> AsyncIterator[None]:
    """Runs a transaction whose BEGIN and settings take one round trip; asyncpg's own transaction() would take two.
    Raises InFailedSQLTransactionError if the block ends well, but not one of its statements.
    """
    try:
        await connection.execute("BEGIN" + "".join(f"; SET LOCAL {name} = {value}" for name, value in settings.items()))
        yield
    except BaseException:
        if not connection.is_closed():
            await _roll_back(connection)
        raise
    # PostgreSQL answers COMMIT with ROLLBACK, and no error, if a statement failed whose error was caught in the block.
    if await connection.execute("COMMIT") != "COMMIT":
        raise asyncpg.InFailedSQLTransactionError("a statement of the transaction failed, so nothing is committed")


async def _roll_back(connection: Connection) -> None:
    """Rolls back, and completes even if the task is cancelled meanwhile, by the call's deadline, its caller or both."""
    rolling_back = asyncio.ensure_future(connection.execute("ROLLBACK"))
    cancelled: asyncio.CancelledError | None = None
    while not rolling_back.done():
        try:
            await asyncio.wait([rolling_back])
        except asyncio.CancelledError as error:
            cancelled = error
    rolling_back.result()
    if cancelled is not None:
        raise cancelled
