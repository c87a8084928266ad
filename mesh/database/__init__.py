"""A service's PostgreSQL: pool and transactions. The only place that knows what the driver's errors mean."""

from mesh.database.connection import Connection, Session
from mesh.database.database import Database
from mesh.database.failures import busy

__all__ = ["Connection", "Database", "Session", "busy"]
