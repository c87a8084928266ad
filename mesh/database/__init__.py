"""A service's PostgreSQL database: pool and transactions. Only this package interprets the driver's errors."""

from mesh.database.connection import Connection, Session
from mesh.database.database import Database
from mesh.database.failures import busy
from mesh.database.turn import lock_key, take_turn, try_lock_key, try_turn
from mesh.database.wakeup import Listener, Wakeup, Wakeups

__all__ = [
    "Connection",
    "Database",
    "Listener",
    "Session",
    "Wakeup",
    "Wakeups",
    "busy",
    "lock_key",
    "take_turn",
    "try_lock_key",
    "try_turn",
]
