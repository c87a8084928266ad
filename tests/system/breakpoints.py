"""Breakpoints in the databases of a running mesh: a process stands still in the COMMIT of a certain change."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import asyncpg

from local.postgres import SUPERUSER
from tests.system.mesh import WAIT_TIMEOUT_S, Mesh

LOCK: Final = 20261128
POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a row: an SQL condition on NEW in a table of a service."""

    service: str
    table: str
    condition: str
    operation: str = "INSERT OR UPDATE"


class Breakpoint:
    """A breakpoint that is set. Transactions that make the change wait in their COMMIT for a lock that we hold."""

    def __init__(self, mesh: Mesh, change: Change, session: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._mesh = mesh
        self._service = change.service
        self._session = session

    async def kill_before_commit(self) -> None:
        """Waits until the breakpoint is reached, and kills the process there: nothing of the transaction remains."""
        backend = await self._reached()
        self._mesh.kill(self._service)
        await self._until_not_active(backend)

    async def kill_after_commit(self, killed: str = "") -> None:
        """Waits until the breakpoint is reached, lets the transaction commit, and kills the process, or its caller,
        before either can react.
        """
        backend = await self._reached()
        killed = killed or self._service
        pid = self._mesh.process(killed).pid
        assert pid is not None, "it runs"
        os.kill(pid, signal.SIGSTOP)
        await self.release()
        await self._until_not_active(backend)
        self._mesh.kill(killed)

    async def release(self) -> None:
        """Lets everybody pass from now on."""
        await self._session.execute("SELECT pg_advisory_unlock_all()")

    async def execute(self, statement: str) -> None:
        """Executes a statement in the database of the breakpoint."""
        await self._session.execute(statement)

    async def _reached(self) -> int:
        """Returns the process id of the backend that waits, once there is one. A process that was killed need not pause
        before.
        """
        query = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted LIMIT 1"
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            while (backend := await self._session.fetchval(query, LOCK)) is None:
                self._mesh.hasten(self._service)
                await asyncio.sleep(POLL_S)
        return int(backend)

    async def _until_not_active(self, backend: int) -> None:
        query = "SELECT true FROM pg_stat_activity WHERE pid = $1 AND state = 'active'"
        async with asyncio.timeout(WAIT_TIMEOUT_S):
            while await self._session.fetchval(query, backend):
                await asyncio.sleep(POLL_S)


@contextlib.asynccontextmanager
async def breakpoint_at(mesh: Mesh, change: Change) -> AsyncIterator[Breakpoint]:
    """Sets a breakpoint, and removes it at the end."""
    session = await asyncpg.connect(mesh.postgres.url(change.service, SUPERUSER))
    try:
        await session.execute(
            f"""
            SELECT pg_advisory_lock({LOCK});
            CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = '1min' AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock_shared({LOCK});
                RETURN NULL;
            END $$;
            CREATE CONSTRAINT TRIGGER stand_still AFTER {change.operation} ON {change.table}
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ({change.condition}) EXECUTE FUNCTION stand_still();
            """
        )
        breakpoint_ = Breakpoint(mesh, change, session)
        yield breakpoint_
        await breakpoint_.release()
        await session.execute(f"DROP TRIGGER stand_still ON {change.table}; DROP FUNCTION stand_still")
    finally:
        await session.close()
