"""The right of one replica to do something alone, by a lock in the database that they share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.database import Database, Session

TAKEOVER_PAUSE_S = 1.0


@asynccontextmanager
async def lease(database: Database, lock: int, idle_s_max: float) -> AsyncIterator[Session]:
    """Waits until this process has the advisory lock, and holds it until the end of the block. Raises Unavailable.

    The lock ends with the session, which PostgreSQL ends when the process dies, and when nothing was executed in it for
    `idle_s_max`: a process that was stopped or cut off does not keep others from taking over. What must not happen
    after another has taken over is to be done in this session.

    The session is writable: a standby has locks of its own, and what was done could not be recorded there.
    """
    async with database.session(writable=True) as session:
        await session.execute(f"SET idle_session_timeout = '{idle_s_max * 1000:.0f}ms'")
        while not await session.fetchval("SELECT pg_try_advisory_lock($1)", lock):
            await asyncio.sleep(TAKEOVER_PAUSE_S)
        yield session
