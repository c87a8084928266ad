"""What requests know of their connection."""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NoReturn

from edge.http.connections import Place
from edge.http.held_bytes import HeldBytes


class Connection:
    """What requests know of their connection, in the ASGI state under KEY."""

    KEY: ClassVar[str] = "edge.http.http1_protocol"

    def __init__(self, transport: asyncio.Transport | None = None, held: HeldBytes | None = None) -> None:
        """`held` is the budget for what requests hold, unlimited without one."""
        self.held = held or HeldBytes(sys.maxsize, 0)
        self.place: Place | None = None
        self.lost = False
        self.handshake: dict[str, Any] = {}
        """What the ASGI scope of a WebSocket says of its handshake."""
        self._taken = asyncio.Event()
        self._taken.set()
        self._transport = transport
        self._tasks: set[asyncio.Task[Any]] = set()
        self._told_of_drain: set[Callable[[], None]] = set()
        self._drains = False

    async def taken(self) -> None:
        """Returns once the client has taken most of what was sent."""
        await self._taken.wait()

    def pause(self) -> None:
        """More waits to be sent than the client takes."""
        self._taken.clear()

    def resume(self) -> None:
        """The client has taken most of it."""
        self._taken.set()

    def busy(self) -> None:
        """A call is made on this connection, though its request is not complete."""
        if self.place is not None:
            self.place.busy()

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """While this is entered, the current task is cancelled if the connection is lost."""
        task = asyncio.current_task()
        assert task is not None, "requests are served by tasks"
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    @contextlib.contextmanager
    def draining(self, tell: Callable[[], None]) -> Iterator[None]:
        """While this is entered, `tell` is called if the server stops and wants to see the end of what runs."""
        self._told_of_drain.add(tell)
        if self._drains:
            tell()
        try:
            yield
        finally:
            self._told_of_drain.discard(tell)

    def drain(self) -> None:
        """The server stops."""
        self._drains = True
        for tell in tuple(self._told_of_drain):
            tell()

    async def cut(self) -> NoReturn:
        """Cuts the connection off in the middle of a reply, which is all that tells the client that it is not complete.
        Who calls this is cancelled with whatever serves the connection.
        """
        if self._transport is not None:
            self._transport.abort()
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def close(self) -> None:
        """Cuts the connection off, for somebody who outlives it."""
        while self._transport is not None and not self.lost:
            self._transport.abort()
            await asyncio.sleep(0)

    def lose(self) -> None:
        """The client has gone."""
        self.lost = True
        if self.place is not None:
            self.place.leave()
        for task in self._tasks:
            task.cancel()
