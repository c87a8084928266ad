"""An event that is set when a transaction of any process notifies a channel (LISTEN, NOTIFY)."""

import asyncio
from types import TracebackType
from typing import Final, Self

from mesh.background import keep_running, stop, wait
from mesh.database.database import Database
from mesh.errors import Unavailable

CHECK_PAUSE_S: Final = 5.0  # a connection that broke silently is noticed after this time and the limit of a statement


class Wakeup:
    """The listener to a channel, which works while its context lasts. `event` is also set when listening begins, and
    begins again, because notifications may have been missed before.
    """

    def __init__(self, database: Database, channel: str) -> None:
        self.event = asyncio.Event()
        self._database = database
        self._channel = channel
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(keep_running(f"wakeup by {self._channel}", self._listen))]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._tasks)

    async def _listen(self) -> None:
        ended = asyncio.Event()
        async with self._database.session() as session:
            session.add_termination_listener(lambda *_: ended.set())
            await session.add_listener(self._channel, lambda *_: self.event.set())
            self.event.set()
            while not ended.is_set():
                await session.execute("SELECT 1")
                await wait(ended, CHECK_PAUSE_S)
        raise Unavailable("The database has ended the session.")
