"""A service's PostgreSQL database: pool and transactions. Only this package interprets the driver's errors."""

from mesh.database.advisory_locks import lock_key, lock_relation, try_lock_key, try_lock_relation
from mesh.database.connection import Connection, Session
from mesh.database.database import Database
from mesh.database.failures import STALE_SESSION, busy
from mesh.database.listener import ChangeListener, Listener, WorkListener

__all__ = [
    "STALE_SESSION",
    "ChangeListener",
    "Connection",
    "Database",
    "Listener",
    "Session",
    "WorkListener",
    "busy",
    "lock_key",
    "lock_relation",
    "try_lock_key",
    "try_lock_relation",
]
