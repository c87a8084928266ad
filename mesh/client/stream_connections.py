"""The connections to one workload that its streams go by: as many as they need.

A server lets a connection have so many streams, often a hundred (RFC 9113, section 6.5.2), and gRPC's client lets every
call on top of them wait, unary ones too. Streams stay open, so that the wait would have no end.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final

import grpc.aio

STREAMS_MAX: Final = 50
"""Of one connection. Servers on gRPC's core refuse some calls beyond half of their limit, as a protection."""


class StreamConnection:
    """A channel with its own connection."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self.streams = 0
        self._methods: dict[str, grpc.aio.StreamStreamMultiCallable[bytes, bytes]] = {}

    def method(self, path: str) -> "grpc.aio.StreamStreamMultiCallable[bytes, bytes]":
        """What calls a method by this connection."""
        method = self._methods.get(path)
        if method is None:
            method = self._methods[path] = self.channel.stream_stream(path)
        return method


class StreamConnections:
    """Opens them when there is no room, and keeps them."""

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        """`connect` gives a channel with a connection of its own."""
        self._connect = connect
        self._connections: list[StreamConnection] = []

    @contextlib.contextmanager
    def place(self) -> Iterator[StreamConnection]:
        """A connection with room for one stream, which is over when this is left."""
        connection = self._with_room()
        connection.streams += 1
        try:
            yield connection
        finally:
            connection.streams -= 1

    async def close(self) -> None:
        """Ends all."""
        for connection in self._connections:
            await connection.channel.close()

    def _with_room(self) -> StreamConnection:
        for connection in self._connections:
            if connection.streams < STREAMS_MAX:
                return connection
        self._connections.append(StreamConnection(self._connect()))
        return self._connections[-1]
