"""The errors of calls whose database failed, derived from the driver's errors."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

import asyncpg
import structlog

from mesh.errors import Aborted, InvalidArgument, MeshError, ResourceExhausted, Unavailable
from mesh.telemetry.correlation import request_id

log = structlog.get_logger()

RETRY_AFTER_S = 1.0

# The session may be the cause, for good: it keeps the server, the role and the settings with which it began.
STALE_SESSION = (
    asyncpg.ReadOnlySQLTransactionError,  # the server is not, or no longer, the primary; or a setting forbids writes
    asyncpg.UndefinedTableError,  # the migrations have not run yet, or the search_path was another
    asyncpg.InvalidSchemaNameError,
    asyncpg.InsufficientPrivilegeError,  # for an operator to fix, not the caller; or the role was created anew
)
# The server can't be reached, or refuses sessions or their statements for now.
_AWAY = (
    *STALE_SESSION,
    OSError,  # TimeoutError included
    asyncpg.InternalClientError,  # the server ended the session while it was idle; seen only now that it is used
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,  # too many connections, disk full, out of memory
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InvalidAuthorizationSpecificationError,  # wrong credentials: for an operator to fix, not the caller
    asyncpg.InvalidCatalogNameError,
    asyncpg.exceptions.InvalidCachedStatementError,  # a migration ran meanwhile; the next try prepares anew
)
_CONCURRENT = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.LockNotAvailableError)
# Contracts need not forbid it in every text, but PostgreSQL has no text with U+0000 in it.
_UNSTORABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raises the error to show to the caller in the place of a driver's error, unless the data or a bug of ours caused
    that one.
    """
    try:
        yield
    except _DRIVER_ERRORS as error:
        if (translated := _translate(error)) is None:
            raise
        raise translated from error


def ending() -> AbstractContextManager[None]:
    """Suppresses a driver's error at the end of a connection, by which the driver closes it. What was done on it is
    done, and what failed has an error of its own, such as that of a statement whose cancellation takes too long.
    """
    return suppress(*_DRIVER_ERRORS)


def _translate(error: Exception) -> MeshError | None:
    """Returns the error to show to the caller for a driver's error; None if the data or a bug of ours caused it."""
    translated: MeshError
    if isinstance(error, _CONCURRENT):
        translated = Aborted(
            "A concurrent change conflicts with this one. Try again.",
            reason="CONCURRENT_CHANGE",
            retry_after_s=RETRY_AFTER_S,
        )
    elif isinstance(error, asyncpg.QueryCanceledError):
        # Not DEADLINE_EXCEEDED, which counts as a failure of the workload: the cost depends on the caller's request.
        translated = busy("The database took too long for this call.", "DATABASE_TIMEOUT")
    elif isinstance(error, _UNSTORABLE):
        translated = InvalidArgument(
            "A text contains the character U+0000, which can't be stored.", reason="CHARACTER_NOT_ALLOWED"
        )
    elif isinstance(error, _AWAY) or _is_lost_connection(error):
        translated = Unavailable(
            "The database does not answer. Try again.", reason="DATABASE_UNAVAILABLE", retry_after_s=RETRY_AFTER_S
        )
    else:
        return None
    # The failures of background work are logged by the work, with their cause: many of them are one outage.
    write = log.warning if request_id() else log.debug
    write("database error", reason=translated.reason, error=f"{type(error).__name__}: {error}")
    return translated


def busy(message: str, reason: str) -> ResourceExhausted:
    """Returns the error of a call for which the database has no capacity now. Circuit breakers don't count it."""
    return ResourceExhausted(message, reason=reason, retry_after_s=RETRY_AFTER_S)


def _is_lost_connection(error: Exception) -> bool:
    """Returns whether an InterfaceError, which asyncpg also raises for mistakes in its use, means a closed
    connection.
    """
    return (
        isinstance(error, asyncpg.InterfaceError)
        and not isinstance(error, asyncpg.DataError)
        and "closed" in str(error)
    )
