"""The list of ended tokens: kept in the database, followed by every replica, and read by all who verify tokens.

docs/decisions/0020-ended-tokens.md has the whole picture.
"""

import asyncio
import bisect
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import structlog

from mesh.background import keep_running, wait
from mesh.database import Connection, Database
from mesh.errors import MeshError, ResourceExhausted, Unavailable
from mesh.identity import ended_id
from services.identity import ended_storage
from services.identity.ended_storage import Entry

ENTRIES_MAX = 100_000
PAGE_ENTRIES_MAX = 5_000  # some 400 kB of JSON
WAITING_MAX = 200
LOOK_EVERY_S = 5.0  # without a notification
SPREAD_TIMEOUT_S = 2.0
SPREAD_PAUSE_S = 0.01
LEEWAY = timedelta(seconds=60)  # clocks of verifiers may differ

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class News:
    """A part of the list, and where the next begins."""

    entries: Sequence[Entry]
    next_after: int


class EndedTokenList:
    """The list as this replica knows it. Also the EndedTokens of this process, which needs no HTTP to know them."""

    def __init__(self, database: Database, token_lifetime: timedelta) -> None:
        """`token_lifetime` is that of the longest access token that may be in use."""
        self._database = database
        self._lifetime = token_lifetime + LEEWAY
        self._reader = uuid4()
        self._entries: list[Entry] = []
        self._ids: set[str] = set()
        self._last = 0
        self._changed = asyncio.Event()
        self._waiting = 0
        self._serves = False

    async def ready(self) -> None:
        """Returns at once: the process serves only once it has the list."""

    def holds(self, ids: Iterable[str]) -> bool:
        """Returns whether one of these is on the list."""
        return bool(self._ids) and any(each in self._ids for each in ids)

    async def end(self, tx: Connection, claim: str, value: str, expire_time: datetime | None = None) -> int:
        """Ends the tokens whose claim has this value, with the transaction, which should do nothing after it. Returns
        what spread() takes. `expire_time` is for a token that is known, whose expiry is.

        Raises ResourceExhausted if the list is full.
        """
        if await ended_storage.count_ended(tx) >= ENTRIES_MAX:
            raise ResourceExhausted(
                "Too many tokens were ended in the last minutes. Try again later.",
                reason="TOO_MANY_ENDED_TOKENS",
                retry_after_s=60,
            )
        expire_time = datetime.now(UTC) + self._lifetime if expire_time is None else expire_time + LEEWAY
        return await ended_storage.insert_ended(tx, ended_id(claim, value), expire_time)

    async def spread(self, sequence: int) -> None:
        """Returns when all readers have read up to this, or SPREAD_TIMEOUT_S have passed. Call it after the commit.

        A reader that is too slow, or gone, holds up one end only: it counts again once it asks again.
        """
        try:
            async with asyncio.timeout(SPREAD_TIMEOUT_S):
                while await self._behind(sequence):
                    await asyncio.sleep(SPREAD_PAUSE_S)
        except TimeoutError:
            with suppress(MeshError):
                async with self._database.transaction() as tx:
                    behind = await ended_storage.forget_behind(tx, sequence)
                log.warning("readers of ended tokens do not answer", readers=behind)
        except MeshError as error:
            log.warning("could not see whether an end has spread", error=error.message)

    async def _behind(self, sequence: int) -> int:
        async with self._database.transaction() as tx:
            return await ended_storage.count_behind(tx, sequence)

    async def acknowledge(self, reader: UUID, seen: int) -> None:
        """Notes how far a reader has read. While the database is away nothing can end, so nobody needs to know."""
        with suppress(MeshError):
            async with self._database.transaction() as tx:
                await ended_storage.acknowledge(tx, reader, seen)

    async def after(self, after: int, wait_s: float) -> News:
        """What ended after this. Without news, waits for some, unless too many wait or this process stops."""
        if after > self._last:
            after = 0  # a sequence of another database, as after a restore
        elif after == self._last and self._serves and self._waiting < WAITING_MAX:
            self._waiting += 1
            try:
                await wait(self._changed, wait_s)
            finally:
                self._waiting -= 1
        first = bisect.bisect_right(self._entries, after, key=lambda entry: entry.sequence)
        page = self._entries[first : first + PAGE_ENTRIES_MAX]
        is_last = first + PAGE_ENTRIES_MAX >= len(self._entries)
        return News(page, self._last if is_last else page[-1].sequence)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Lets readers wait for news, until the block ends."""
        self._serves = True
        try:
            yield
        finally:
            self._serves = False
            self._wake()

    async def refresh(self) -> None:
        """Takes over what is new in the database, and tells it to those who wait. Raises what transaction() raises."""
        async with self._database.transaction() as tx:
            now, last, entries = await ended_storage.read_ended(tx, self._last)
            if last < self._last:  # another database, as after a restore
                now, last, entries = await ended_storage.read_ended(tx, 0)
                self._entries = []
        if last != self._last:
            self._entries = [entry for entry in self._entries if entry.expire_time > now] + list(entries)
            self._ids = {entry.id for entry in self._entries}
            self._last = last
            self._wake()
        await self.acknowledge(self._reader, last)

    async def follow(self) -> None:
        """Keeps this copy fresh for ever."""
        await keep_running("ended tokens", self._follow)

    async def _follow(self) -> None:
        changed = asyncio.Event()
        async with self._database.session() as session:
            session.add_termination_listener(lambda *_: changed.set())
            await session.add_listener(ended_storage.CHANNEL, lambda *_: changed.set())
            while not session.is_closed():
                changed.clear()
                await self.refresh()
                await wait(changed, LOOK_EVERY_S)
        raise Unavailable("The database has ended the session.")

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
