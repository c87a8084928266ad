"""The connections to one address of a server, and the attempts to connect: back-off after failures, and after
connections that end before they were of use.

https://github.com/grpc/grpc/blob/master/doc/connection-backoff.md, with shorter pauses.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

from mesh.http2.client.connection import ClientConnection

ATTEMPT_S_MAX: Final = 2.0
"""The time of one attempt, with TLS and the server's settings."""

PAUSE_S_MIN: Final = 0.1
PAUSE_S_MAX: Final = 1.0
PAUSE_GROWTH: Final = 1.6
JITTER: Final = 0.2

CONNECTIONS_MAX: Final = 100
"""The most connections to one address for new streams."""

DRAINING_MAX: Final = 1_000
"""The most connections to one address that end after their last stream. Servers that renew connections, while long
streams go on, leave one each time: beyond the limit the oldest is closed.
"""

Connect = Callable[[Callable[[ClientConnection], None]], Awaitable[ClientConnection]]
"""Connects to the address; the argument is called when the connection has changed."""


class Endpoint:
    """One address. From the first want() until close() it keeps a connection, or tries to."""

    def __init__(self, connect: Connect, on_change: Callable[[], None]) -> None:
        """`on_change` is called when there may be room for a stream, and when an attempt to connect has failed."""
        self._connect = connect
        self._on_change = on_change
        self._connections: list[ClientConnection] = []
        self._draining: list[ClientConnection] = []
        self._attempts: asyncio.Task[None] | None = None
        self._pause_s = PAUSE_S_MIN
        self._connected_at = -PAUSE_S_MIN
        self._is_closed = False
        self.error: Exception | None = None
        """The failure of the last attempt to connect, None if it succeeded or is the first."""

    @property
    def is_connected(self) -> bool:
        """Returns whether there is a connection for new streams, with or without room."""
        return any(connection.is_usable for connection in self._connections)

    @property
    def has_streams(self) -> bool:
        """Returns whether streams go on that were opened before retire()."""
        return bool(self._draining)

    @property
    def may_grow(self) -> bool:
        """Returns whether another connection would help. One would not if the newest allows no streams."""
        usable = [connection for connection in self._connections if connection.is_usable]
        return not usable or (len(usable) < CONNECTIONS_MAX and usable[-1].allows_streams)

    def pick(self) -> ClientConnection | None:
        """Returns a connection with room for a stream, or None."""
        for connection in self._connections:
            if connection.room > 0:
                return connection
        return None

    def want(self) -> None:
        """Begins to connect, if it has not and may."""
        if self._attempts is None and not self._is_closed and self.may_grow:
            self._attempts = asyncio.create_task(self._connect_in_time(), name="connect")

    def close(self) -> None:
        """Closes the connections, which ends their streams."""
        self._stop()
        for connection in (*self._connections, *self._draining):
            connection.close()

    def retire(self) -> None:
        """Opens no more connections, and no more streams; those that are open may end."""
        self._stop()
        for connection in self._connections[:]:
            connection.drain()

    def _stop(self) -> None:
        self._is_closed = True
        if self._attempts is not None:
            self._attempts.cancel()

    async def _connect_in_time(self) -> None:
        """Tries until there is a connection. One beside others comes soon, also after an outage."""
        pause_s = PAUSE_S_MIN if self.is_connected else self._jittered_pause_s()
        await asyncio.sleep(self._connected_at + pause_s - time.monotonic())
        while True:
            try:
                async with asyncio.timeout(ATTEMPT_S_MAX):
                    connection = await self._connect(self._changed)
            except Exception as error:  # noqa: BLE001 # whatever it is, nothing else would try again
                self.error = error
                self._on_change()
                await asyncio.sleep(self._jittered_pause_s())
                self._pause_s = min(self._pause_s * PAUSE_GROWTH, PAUSE_S_MAX)
            else:
                break
        self.error, self._connected_at, self._attempts = None, time.monotonic(), None
        self._connections.append(connection)
        self._changed(connection)

    def _jittered_pause_s(self) -> float:
        return self._pause_s * random.uniform(1 - JITTER, 1 + JITTER)

    def _changed(self, connection: ClientConnection) -> None:
        if not connection.is_usable:
            self._sort_out(connection)
            if not self.is_connected:
                self.want()
        self._on_change()

    def _sort_out(self, connection: ClientConnection) -> None:
        """Removes a connection that has ended, and keeps one that is to end apart from the others."""
        if connection.is_draining and connection in self._connections:
            self._connections.remove(connection)
            self._draining.append(connection)
            self._adapt_pause(connection)
        if connection.is_closed and connection in self._draining:
            self._draining.remove(connection)
        if len(self._draining) > DRAINING_MAX:
            self._draining[0].close()

    def _adapt_pause(self, connection: ClientConnection) -> None:
        """Lets the pause grow after a connection that was of no use, such as one that the server has left at once."""
        lasted_s = time.monotonic() - self._connected_at
        is_useful = connection.is_answered or lasted_s >= PAUSE_S_MAX
        self._pause_s = PAUSE_S_MIN if is_useful else min(self._pause_s * PAUSE_GROWTH, PAUSE_S_MAX)
