"""A share of a database's connections for one kind of call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mesh.database import Connection, Database, busy
from mesh.errors import ResourceExhausted

WAIT_S = 0.5
WAITING_MAX = 50


class DatabaseShare:
    """Transactions of one kind of call, of which few run at the same time: however many such calls there are, and
    however long they take, other calls find a connection.
    """

    def __init__(self, database: Database, *, connections_max: int, statement_timeout_s: float) -> None:
        """At most `connections_max` run at the same time, and one fewer than the pool has connections unless it has but
        one. `statement_timeout_s` is that of Database.transaction().
        """
        self._database = database
        self._free = asyncio.Semaphore(max(1, min(connections_max, database.connections_max - 1)))
        self._waiting = 0
        self._statement_timeout_s = statement_timeout_s

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """As Database.transaction(). Raises ResourceExhausted if too many calls of the kind are at work or wait."""
        await self._take_place()
        try:
            async with self._database.transaction(statement_timeout_s=self._statement_timeout_s) as tx:
                yield tx
        finally:
            self._free.release()

    async def _take_place(self) -> None:
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
    return busy("Too many calls of this kind are at work. Try again.", "TOO_MANY_CALLS")
