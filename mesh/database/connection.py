"""The types of connections, for annotations: of the pool, and of one's own."""

from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]
    Session: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Connection = PoolConnectionProxy
    Session = asyncpg.Connection
