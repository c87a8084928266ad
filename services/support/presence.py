"""The presence of users: which streams of conversations are open at this replica, as the database shows it to all."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from uuid import UUID, uuid4

from mesh.background import Worker, wait
from mesh.database import Database
from mesh.errors import MeshError
from services.support import presence_storage, storage
from services.support.domain import Actor
from services.support.presence_storage import OpenStream

RENEW_EVERY_S = 10.0  # a third of presence_storage.EXPIRES_AFTER


class Presence(Worker):
    """The open streams of this replica, and the only writer of their rows. It works while its context lasts.

    Streams are renewed as long as they are open. If this replica is killed, its rows expire, and another one deletes
    them; if it was only paused, it writes them again.
    """

    def __init__(self, database: Database, *, renew_every_s: float = RENEW_EVERY_S) -> None:
        super().__init__({"presence": self._keep_written})
        self._database = database
        self._renew_every_s = renew_every_s
        self._renew_at_s = time.monotonic() + renew_every_s
        self._open: dict[UUID, OpenStream] = {}
        self._opened: set[UUID] = set()
        self._closed: set[UUID] = set()
        self._changed = asyncio.Event()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        try:
            await self._write()
        except MeshError:
            return  # the rows expire

    @contextmanager
    def connected(self, conversation: UUID, actor: Actor) -> Iterator[None]:
        """Shows the user as connected to the conversation until the block ends."""
        uid = uuid4()
        self._open[uid] = OpenStream(uid, conversation, actor)
        self._opened.add(uid)
        self._changed.set()
        try:
            yield
        finally:
            del self._open[uid]
            self._opened.discard(uid)
            self._closed.add(uid)
            self._changed.set()

    async def _keep_written(self) -> None:
        self._changed.clear()
        await self._write()
        await wait(self._changed, self._renew_at_s - time.monotonic())

    async def _write(self) -> None:
        """Writes the streams that were opened and closed, all of them when they are due, and deletes expired ones.

        Each transaction writes participants in one order, so that replicas never wait for each other in a circle.
        """
        is_due = time.monotonic() >= self._renew_at_s
        streams = list(self._open.values()) if is_due else [self._open[uid] for uid in self._opened]
        closed = set(self._closed)
        async with self._database.transaction() as tx:
            await storage.wake(tx, await presence_storage.renew(tx, streams))
        async with self._database.transaction() as tx:
            await storage.wake(tx, await presence_storage.end(tx, closed))
        self._opened.difference_update(each.uid for each in streams)
        self._closed -= closed
        if is_due:
            self._renew_at_s = time.monotonic() + self._renew_every_s
