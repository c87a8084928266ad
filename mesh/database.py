"""A service's PostgreSQL: a pool with limits, transactions, and one place where the driver's errors become ours."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import asyncpg
import structlog
from asyncpg.pool import PoolConnectionProxy

from mesh.errors import Aborted, MeshError, ResourceExhausted, Unavailable
from mesh.rpc import current_call
from mesh.settings import DatabaseSettings

if TYPE_CHECKING:
    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
    Session: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = PoolConnectionProxy
    Session = asyncpg.Connection

log = structlog.get_logger()

CONNECT_TIMEOUT_S = 3.0
ACQUIRE_TIMEOUT_S = 3.0
CONNECT_COUNTS_S = 1.0  # a call in a greater hurry proves nothing when it gets no connection
LOCK_TIMEOUT_S = 3.0
IDLE_IN_TRANSACTION_TIMEOUT_S = 15.0
SILENCE_TIMEOUT_S = 2.0  # how long after the server's own limit it may stay silent before it counts as gone
CLOSE_TIMEOUT_S = 5.0
RETRY_AFTER_S = 1.0
DEADLINE_SHARE = 0.9  # of the time that a call has left: its caller must still hear of it when a statement takes longer
STATEMENT_TIMEOUT_S_MIN = 0.01

# What every session gets beside the limits of time. A call's statement is short: it is worth neither compiling nor a
# second processor, and it ends soon after a client that was killed.
_SESSION = {"jit": "off", "max_parallel_workers_per_gather": "0", "client_connection_check_interval": "1s"}

# The server or the way to it is away, or it refuses sessions for now.
_AWAY = (
    OSError,  # TimeoutError included
    asyncpg.InternalClientError,  # the server ended the session while it was idle; seen only now that it is used
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.ReadOnlySQLTransactionError,  # a replica that is not, or no longer, the primary
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,  # wrong credentials: an operator's to mend, not the caller's
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,  # the migrations have not run yet
    asyncpg.InvalidSchemaNameError,
    asyncpg.exceptions.InvalidCachedStatementError,  # a migration ran meanwhile; the next try prepares anew
)
_CONCURRENT = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


class Database:
    """The database of one service. It connects when first used, and again whenever PostgreSQL was away."""

    name = "database"

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", connect: dict[str, Any], statement_timeout_s: float
    ) -> None:
        self._pool = pool
        self._connect = connect
        self._statement_timeout_s = statement_timeout_s

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: DatabaseSettings, service: str) -> AsyncIterator[Self]:
        """The database for as long as the block lasts. PostgreSQL may still be down: its uses are then Unavailable."""
        connect = _connect_arguments(settings, service)
        pool = asyncpg.create_pool(**connect, min_size=0, max_size=settings.database_pool_size)
        await pool
        try:
            yield cls(pool, connect, settings.database_statement_timeout_s)
        finally:
            await _close(pool)

    @property
    def connections_max(self) -> int:
        """How many transactions can run at the same time (DATABASE_POOL_SIZE)."""
        return self._pool.get_max_size()

    async def check(self) -> None:
        """Raises Unavailable when the database does not answer."""
        if self._is_used_up():
            return  # all connections are at work: that is load, and taking this process out of service adds to it
        async with self.transaction() as tx:
            await tx.execute("SELECT 1")

    @asynccontextmanager
    async def transaction(self, *, statement_timeout_s: float = math.inf) -> AsyncIterator[Connection]:
        """One transaction (READ COMMITTED), committed at the end of the block, rolled back if it raises.

        A statement may take `statement_timeout_s`, never longer than DATABASE_STATEMENT_TIMEOUT_S, and within a call
        less than what is left until the call's deadline. A call that is cancelled, because its caller has left,
        cancels its statement on the server.

        Do no other I/O inside: it holds one of few connections, and an OSError or TimeoutError counts as the
        database's. Raises Unavailable (no connection, or it broke: the outcome of a commit is then unknown),
        Aborted (a concurrent change won) or ResourceExhausted (every connection is at work, or the statement took too
        long). What the data caused, such as asyncpg.UniqueViolationError, is left for the storage to catch.
        """
        timeout_s = min(statement_timeout_s, self._statement_timeout_s)
        try:
            async with self._acquired() as connection, _transaction(connection, _within_deadline(timeout_s)):
                yield connection
        except _DRIVER_ERRORS as error:
            if (translated := _translate(error)) is None:
                raise
            raise translated from error

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Connection]:
        wait_s = _within_deadline(ACQUIRE_TIMEOUT_S)
        try:
            connection = await self._pool.acquire(timeout=wait_s)
        except TimeoutError:
            if self._pool.get_size() < self._pool.get_max_size() and wait_s >= CONNECT_COUNTS_S:
                raise  # no connection could be made
            raise busy("Every connection to the database is at work. Try again.", "DATABASE_BUSY") from None
        try:
            yield connection
        finally:
            await self._pool.release(connection)

    def _is_used_up(self) -> bool:
        return self._pool.get_idle_size() == 0 and self._pool.get_size() == self._pool.get_max_size()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """A connection outside the pool, for LISTEN and for advisory locks that outlive a transaction.

        Raises as transaction() does.
        """
        try:
            connection = await asyncpg.connect(**self._connect)
            try:
                yield connection
            finally:
                await connection.close(timeout=CLOSE_TIMEOUT_S)
        except _DRIVER_ERRORS as error:
            if (translated := _translate(error)) is None:
                raise
            raise translated from error


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
    """The seconds of a limit, fewer if the call being handled has less time left."""
    call = current_call.get()
    if call is None:
        return limit_s
    return min(limit_s, max(STATEMENT_TIMEOUT_S_MIN, call.remaining_s() * DEADLINE_SHARE))


@asynccontextmanager
async def _transaction(connection: Connection, statement_timeout_s: float) -> AsyncIterator[None]:
    """A transaction whose begin and timeout take one round trip, where asyncpg's own would take two."""
    try:
        await connection.execute(f"BEGIN; SET LOCAL statement_timeout = {math.ceil(statement_timeout_s * 1000)}")
        yield
    except BaseException:
        if not connection.is_closed():
            await _roll_back(connection)
        raise
    await connection.execute("COMMIT")


async def _roll_back(connection: Connection) -> None:
    """Rolls back, to the end also if the call is cancelled meanwhile, by its deadline, its caller, or both."""
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


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def _translate(error: Exception) -> MeshError | None:
    """What the caller may see instead of a driver's error; None if it tells of the data or of a mistake of ours."""
    translated: MeshError
    if isinstance(error, _CONCURRENT):
        translated = Aborted(
            "A concurrent change was in the way. Try again.", reason="CONCURRENT_CHANGE", retry_after_s=RETRY_AFTER_S
        )
    elif isinstance(error, asyncpg.QueryCanceledError):
        # Not DEADLINE_EXCEEDED, which counts as a failure of the workload: the caller chose what was asked for.
        translated = busy("The database took too long for this call.", "DATABASE_TIMEOUT")
    elif isinstance(error, _AWAY) or _is_lost_connection(error):
        translated = Unavailable(
            "The database does not answer. Try again.", reason="DATABASE_UNAVAILABLE", retry_after_s=RETRY_AFTER_S
        )
    else:
        return None
    log.warning("database error", reason=translated.reason, error=f"{type(error).__name__}: {error}")
    return translated


def busy(message: str, reason: str) -> ResourceExhausted:
    """The error of a call for which the database has no capacity now. Circuit breakers don't count it."""
    return ResourceExhausted(message, reason=reason, retry_after_s=RETRY_AFTER_S)


def _is_lost_connection(error: Exception) -> bool:
    """asyncpg has one InterfaceError for the use of a closed connection and for mistakes in its use."""
    return (
        isinstance(error, asyncpg.InterfaceError)
        and not isinstance(error, asyncpg.DataError)
        and "closed" in str(error)
    )
