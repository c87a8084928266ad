"""The connection of requests."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NoReturn

from edge.http.connections import ConnectionSlot
from edge.http.held_bytes import HeldBytes


class Connection:
    """The connection as its requests see it, in the ASGI state under KEY."""

    KEY: ClassVar[str] = "edge.connection"

    def __init__(self, transport: asyncio.Transport | None = None, held: HeldBytes | None = None) -> None:
        """`held` is the budget for the bytes that requests hold; without one it is unlimited."""
        self.held = held or HeldBytes.unlimited()
        self.slot: ConnectionSlot | None = None
        self.lost = False
        self.handshake: dict[str, Any] = {}
        """The members of the ASGI scope of a WebSocket that describe the client's handshake."""
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport = transport
        self._tasks: set[asyncio.Task[Any]] = set()
        self._drain_callbacks: set[Callable[[], None]] = set()
        self._drains = False

    async def wait_writable(self) -> None:
        """Waits until the client has received most of the data that was sent."""
        await self._writable.wait()

    def pause_writing(self) -> None:
        """Blocks wait_writable(), because the send buffer is full."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Releases wait_writable()."""
        self._writable.set()

    def mark_busy(self) -> None:
        """Marks the connection as in use by a call, although the request is not complete."""
        if self.slot is not None:
            self.slot.mark_busy()

    def cancel_on_loss(self) -> "CancelOnLoss":
        """Returns a context that cancels the current task if the connection is lost inside it."""
        return CancelOnLoss(self._tasks)

    @contextlib.contextmanager
    def on_drain(self, callback: Callable[[], None]) -> Iterator[None]:
        """Calls `callback` if the server starts to drain inside this context, or has started before."""
        self._drain_callbacks.add(callback)
        if self._drains:
            callback()
        try:
            yield
        finally:
            self._drain_callbacks.discard(callback)

    def drain(self) -> None:
        """Calls the callbacks of on_drain(), because the server stops."""
        self._drains = True
        for callback in tuple(self._drain_callbacks):
            callback()

    async def abort(self) -> NoReturn:
        """Aborts the connection in the middle of a reply, which is the only sign to the client that the reply is
        incomplete. Waits until the calling task is cancelled because of that.
        """
        if self._transport is not None:
            self._transport.abort()
        await asyncio.Event().wait()
        raise AssertionError("the event is never set")

    async def close(self) -> None:
        """Aborts the connection and returns once it is lost, for a caller that is not cancelled by that."""
        while self._transport is not None and not self.lost:
            self._transport.abort()
            await asyncio.sleep(0)

    def handle_loss(self) -> None:
        """Frees the slot and cancels the tasks of cancel_on_loss(), because the connection is lost."""
        self.lost = True
        if self.slot is not None:
            self.slot.release()
        for task in self._tasks:
            task.cancel()


class CancelOnLoss:
    """The context of a task that the loss of its connection cancels, one of `tasks`."""

    __slots__ = ("_task", "_tasks")

    def __init__(self, tasks: set[asyncio.Task[Any]]) -> None:
        task = asyncio.current_task()
        assert task is not None, "requests are served by tasks"
        self._task = task
        self._tasks = tasks

    def __enter__(self) -> None:
        self._tasks.add(self._task)

    def __exit__(self, *_: object) -> None:
        self._tasks.discard(self._task)
