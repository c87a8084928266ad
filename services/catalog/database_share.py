"""A share of a database's connections for one kind of call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.database import Connection, Database, busy
from mesh.errors import ResourceExhausted

WAIT_S = 0.5
WAITING_MAX = 50


class DatabaseShare:
    """A limit on the concurrent transactions of one kind of call, so that other calls always find a connection, even if
    there are many such calls and they are slow.
    """

    def __init__(self, database: Database, *, connections_max: int, statement_timeout_s: float) -> None:
        """Limits transactions to `connections_max`, and to one less than the connections of the pool unless it has only
        one. `statement_timeout_s` is as for Database.transaction().
        """
        self._database = database
        self._free = asyncio.Semaphore(max(1, min(connections_max, database.connections_max - 1)))
        self._waiting = 0
        self._statement_timeout_s = statement_timeout_s

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Runs a transaction as Database.transaction() does. Raises ResourceExhausted if too many calls of this kind
        are running or waiting.
        """
        await self._acquire()
        try:
            async with self._database.transaction(statement_timeout_s=self._statement_timeout_s) as tx:
                yield tx
        finally:
            self._free.release()

    async def _acquire(self) -> None:
        if self._waiting >= WAITING_MAX:
            raise _too_many()
        self._waiting += 1
        try:
            async with asyncio.timeout(WAIT_S):
                await self._free.acquire()
        except TimeoutError:
            raise _too_many() from None
        finally:
            self._waiting -= 1


def _too_many() -> ResourceExhausted:
    return busy("Too many calls of this kind are running. Try again.", "TOO_MANY_CALLS")
