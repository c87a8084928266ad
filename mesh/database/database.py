"""The database of one service: a pool with limits, and transactions."""

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Self

import asyncpg
from asyncpg.connect_utils import SessionAttribute

from mesh.database.connection import Connection, Session
from mesh.database.failures import RETRY_AFTER_S, STALE_SESSION, busy, ending, translated_errors
from mesh.database.transaction import transaction_on
from mesh.rpc import current_call
from mesh.settings import DatabaseSettings

CONNECT_TIMEOUT_S = 3.0
ACQUIRE_TIMEOUT_S = 3.0
CONNECT_COUNTS_S = 1.0  # a shorter wait without a connection does not prove that the database is away
LOCK_TIMEOUT_S = 3.0
IDLE_IN_TRANSACTION_TIMEOUT_S = 15.0
SILENCE_TIMEOUT_S = 2.0  # time after the server's own limit until a silent server counts as gone
CLOSE_TIMEOUT_S = 5.0
DEADLINE_SHARE = 0.9  # of the time that a call has left: the rest is for reporting the error to its caller
STATEMENT_TIMEOUT_S_MIN = 0.01

# The settings of every session beside the timeouts. Statements are short, so that neither JIT compilation nor parallel
# workers pay off, nor a plan for each set of arguments. The one plan uses indexes, also if it is made while a table is
# small (ADR 61). The server looks every second whether the client of a running statement still exists.
_SESSION = {
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "client_connection_check_interval": "1s",
}


class Database:
    """The database of one service. It connects at the first use, and reconnects after PostgreSQL was away."""

    name = "database"

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", connect: dict[str, Any], statement_timeout_s: float
    ) -> None:
        self._pool = pool
        self._connect = connect
        self._statement_timeout_s = statement_timeout_s
        self._renewed_at = -math.inf

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: DatabaseSettings, service: str) -> AsyncIterator[Self]:
        """Opens the database, and closes it at the end of the block. PostgreSQL may be down: transactions then raise
        Unavailable.
        """
        connect = _connect_arguments(settings, service)
        pool = asyncpg.create_pool(**connect, min_size=0, max_size=settings.database_pool_size, reset=_keep_session)
        await pool
        try:
            yield cls(pool, connect, settings.database_statement_timeout_s)
        finally:
            await _close(pool)

    @property
    def connections_max(self) -> int:
        """Returns the most transactions that can run at the same time (DATABASE_POOL_SIZE)."""
        return self._pool.get_max_size()

    async def check(self) -> None:
        """Raises Unavailable when the database does not answer."""
        if self._is_used_up():
            return  # all connections are busy: taking this process out of service would add load to the others
        async with self.transaction() as tx:
            await tx.execute("SELECT 1")

    @asynccontextmanager
    async def transaction(
        self, *, statement_timeout_s: float = math.inf, settings: Mapping[str, str] = MappingProxyType({})
    ) -> AsyncIterator[Connection]:
        """Runs a transaction: commits at the end of the block, rolls back if the block raises.

        It is READ COMMITTED: each statement sees all that was committed before it.

        A statement may take `statement_timeout_s`, but at most DATABASE_STATEMENT_TIMEOUT_S, and less than the time
        left until the deadline of the call being handled. If that call is cancelled, because its caller has left, the
        statement is cancelled on the server. `settings` are PostgreSQL's own, for this transaction, and cost no round
        trip.

        Do no other I/O inside: a transaction holds one of few connections, and an OSError or TimeoutError is taken for
        the database's. Begin no other transaction inside: those that each hold the last connections would wait for one
        another. Raises Unavailable (no connection, or it broke, and the outcome of a commit is unknown),
        Aborted (a concurrent change won) or ResourceExhausted (every connection is busy, or the statement took too
        long). Errors caused by the data, such as asyncpg.UniqueViolationError, are left for the storage to catch.
        """
        timeout_s = _within_deadline(min(statement_timeout_s, self._statement_timeout_s))
        # The session has the longest timeout by itself.
        limited = {} if timeout_s == self._statement_timeout_s else {"statement_timeout": math.ceil(timeout_s * 1000)}
        with translated_errors():
            async with self._acquired() as connection, transaction_on(connection, {**limited, **settings}):
                yield connection

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[Connection]:
        """Runs statements that are transactions by themselves, without the round trips of BEGIN and COMMIT: reads,
        which see no more of each other in a transaction (READ COMMITTED), or one write.

        Has the limits of transaction() and raises as that does. The time that a call has left is a limit for all
        statements together: the driver cancels the one that exceeds it.
        """
        timeout_s = _within_deadline(self._statement_timeout_s)
        limit = asyncio.timeout(timeout_s if timeout_s < self._statement_timeout_s else None)
        with translated_errors():
            async with self._acquired() as connection:
                try:
                    async with limit:
                        yield connection
                except TimeoutError:
                    if limit.expired():
                        raise asyncpg.QueryCanceledError("the time of the call is up") from None
                    raise

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        wait_s = _within_deadline(ACQUIRE_TIMEOUT_S)
        try:
            connection = await self._pool.acquire(timeout=wait_s)
        except TimeoutError:
            if self._pool.get_size() < self._pool.get_max_size() and wait_s >= CONNECT_COUNTS_S:
                raise  # no connection could be made
            raise busy("Every connection to the database is busy. Try again.", "DATABASE_BUSY") from None
        try:
            yield connection
        except STALE_SESSION:
            await self._renew()
            raise
        finally:
            with ending():
                await self._pool.release(connection)

    async def _renew(self) -> None:
        """Replaces each connection before its next use, that of a failed transaction included: all may be as old.

        A caller that waits before it tries again gets a new session. While new ones fail too, as in a read-only period,
        the pool isn't replaced more often than that, because reads go on and connecting is expensive.
        """
        now = asyncio.get_running_loop().time()
        if now - self._renewed_at >= RETRY_AFTER_S:
            self._renewed_at = now
            await self._pool.expire_connections()

    def _is_used_up(self) -> bool:
        return self._pool.get_idle_size() == 0 and self._pool.get_size() == self._pool.get_max_size()

    @asynccontextmanager
    async def session(self, *, writable: bool = False) -> AsyncIterator[Session]:
        """Opens a connection outside the pool: for LISTEN, for advisory locks that outlive a transaction, and for a
        write that is kept although the caller's transaction may be undone. Whoever holds a connection of the pool must
        not wait for a second one: callers that each hold one would wait for one another.

        Raises as transaction() does, and Unavailable if it is to be `writable` and the server is read-only.
        """
        access = SessionAttribute.read_write if writable else None  # None stands for what the URL says
        with translated_errors():
            connection = await asyncpg.connect(**self._connect, target_session_attrs=access)
            try:
                yield connection
            finally:
                with ending():
                    await connection.close(timeout=CLOSE_TIMEOUT_S)


def _connect_arguments(settings: DatabaseSettings, service: str) -> dict[str, Any]:
    limits_s = {
        "statement_timeout": settings.database_statement_timeout_s,
        "lock_timeout": LOCK_TIMEOUT_S,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_TIMEOUT_S,
    }
    return {
        "dsn": settings.database_url.get_secret_value(),
        "timeout": CONNECT_TIMEOUT_S,
        "command_timeout": settings.database_statement_timeout_s + SILENCE_TIMEOUT_S,
        "server_settings": {
            "application_name": service,
            **{name: f"{limit_s * 1000:.0f}ms" for name, limit_s in limits_s.items()},
            **_SESSION,
        },
    }


def _within_deadline(limit_s: float) -> float:
    """Returns the limit, or less if the call being handled has less time left."""
    call = current_call.get()
    if call is None:
        return limit_s
    return min(limit_s, max(STATEMENT_TIMEOUT_S_MIN, call.remaining_s() * DEADLINE_SHARE))


async def _keep_session(_connection: Any) -> None:
    """Leaves a session as it is when its connection returns to the pool. asyncpg's reset would cost each transaction a
    round trip; the pool rolls back by itself what is still open.

    Transactions set settings and take locks that end with them only, and listen to nothing.
    """


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()
