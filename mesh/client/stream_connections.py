"""The connections to one workload that carry its streams.

A server limits the concurrent streams of a connection, often to a hundred (RFC 9113, section 6.5.2), and gRPC's client
queues every call beyond the limit, unary ones too. Streams stay open, so that the queued calls could wait forever.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import grpc.aio

STREAMS_MAX: Final = 50
"""The most streams of one connection. Servers on gRPC's core reject some calls beyond half of their limit."""


class StreamConnection:
    """A channel with its own connection."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.streams = 0
        self._methods: dict[str, grpc.aio.StreamStreamMultiCallable[bytes, bytes]] = {}

    def method(self, path: str) -> "grpc.aio.StreamStreamMultiCallable[bytes, bytes]":
        """Returns the object that calls a method over this connection."""
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self.channel.stream_stream(path)
        return method


class StreamConnections:
    """The pool of connections for streams. It opens one when all others are full, and keeps it."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        """Starts without connections. `connect` opens a channel with a connection of its own."""
        self._connect = connect
        self._connections: list[StreamConnection] = []

    @contextlib.contextmanager
    def reserve(self) -> Iterator[StreamConnection]:
        """Reserves room for one stream on a connection while the context lasts."""
        connection = self._with_room()
        connection.streams += 1
        try:
            yield connection
        finally:
            connection.streams -= 1

    async def close(self) -> None:
        """Closes all connections."""
        for connection in self._connections:
            await connection.channel.close()

    def _with_room(self) -> StreamConnection:
        for connection in self._connections:
            if connection.streams < STREAMS_MAX:
                return connection
        self._connections.append(StreamConnection(self._connect()))
        return self._connections[-1]
