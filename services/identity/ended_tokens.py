"""The list of ended tokens, stored in the database, copied by every replica, and read by all verifiers.

docs/decisions/0020-ended-tokens.md describes the design.
"""

import asyncio
import bisect
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import structlog

from mesh.background import keep_running, wait
from mesh.database import Connection, Database, Listener
from mesh.errors import MeshError, ResourceExhausted
from mesh.identity import ended_id
from services.identity import ended_token_storage
from services.identity.ended_token_storage import EndedToken

ENTRIES_MAX = 100_000
PAGE_ENTRIES_MAX = 5_000  # some 400 kB of JSON
WAITING_MAX = 200
POLL_PAUSE_S = 5.0  # without a notification
SPREAD_TIMEOUT_S = 2.0
SPREAD_PAUSE_S = 0.01
LEEWAY = timedelta(seconds=60)  # for differences between the clocks of verifiers

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EntriesPage:
    """A page of the list, and the position after it."""

    entries: Sequence[EndedToken]
    next_after: int


class EndedTokenList:
    """This replica's copy of the list. It is also the EndedTokens of this process, which needs no HTTP to read it."""

    def __init__(self, database: Database, token_lifetime: timedelta) -> None:
        """Starts with an empty copy. `token_lifetime` is the longest lifetime of an access token."""
        self._database = database
        self.lifetime = token_lifetime + LEEWAY
        """How long the tokens of a session that ends now may still be valid."""
        self._reader = uuid4()
        self._entries: list[EndedToken] = []
        self._ids: set[str] = set()
        self._last = 0
        self._changed = asyncio.Event()
        self._waiting = 0
        self._serves = False

    async def ready(self) -> None:
        """Returns at once, because the process starts to serve only after it has loaded the list."""

    def holds(self, ids: Iterable[str]) -> bool:
        """Returns whether the list holds one of these entries."""
        return bool(self._ids) and any(each in self._ids for each in ids)

    async def end(self, tx: Connection, claim: str, value: str, expire_time: datetime | None = None) -> int:
        """Ends the tokens whose claim has this value, as the last step of the transaction. Returns the sequence to pass
        to wait_until_read(). `expire_time` is that of a single token.

        Raises ResourceExhausted if the list is full.
        """
        if await ended_token_storage.count_ended(tx) >= ENTRIES_MAX:
            raise ResourceExhausted(
                "Too many tokens were ended in the last minutes. Try again later.",
                reason="TOO_MANY_ENDED_TOKENS",
                retry_after_s=60,
            )
        expire_time = datetime.now(UTC) + self.lifetime if expire_time is None else expire_time + LEEWAY
        return await ended_token_storage.insert_ended(tx, ended_id(claim, value), expire_time)

    async def end_each(self, tx: Connection, claim: str, values: Iterable[str]) -> int:
        """Ends the tokens whose claim has one of these values, as end() does. Returns the last sequence, 0 if there are
        no values.
        """
        sequence = 0
        for value in values:
            sequence = max(sequence, await self.end(tx, claim, value))
        return sequence

    async def wait_until_read(self, sequence: int) -> None:
        """Waits until all readers have read up to this sequence, at most SPREAD_TIMEOUT_S; not at all if it is 0, as
        nothing has ended. Call it after the commit.

        A reader that is slow, or gone, delays only one call: it does not count again until it polls again.
        """
        if not sequence:
            return
        try:
            async with asyncio.timeout(SPREAD_TIMEOUT_S):
                while await self._behind(sequence):
                    await asyncio.sleep(SPREAD_PAUSE_S)
        except TimeoutError:
            with suppress(MeshError):
                async with self._database.transaction() as tx:
                    behind = await ended_token_storage.forget_behind(tx, sequence)
                log.warning("readers of ended tokens do not respond", readers=behind)
        except MeshError as error:
            log.warning("could not check whether all readers know of an ended token", error=error.message)

    async def _behind(self, sequence: int) -> int:
        async with self._database.autocommit() as connection:
            return await ended_token_storage.count_behind(connection, sequence)

    async def acknowledge(self, reader: UUID, seen: int) -> None:
        """Records the position of a reader. Ignores a database that is away, because no token can end meanwhile."""
        with suppress(MeshError):
            async with self._database.autocommit() as connection:
                await ended_token_storage.acknowledge(connection, reader, seen)

    async def after(self, after: int, wait_s: float) -> EntriesPage:
        """Returns the entries after this sequence. If there are none, waits for new ones, unless too many readers wait
        or this process stops.
        """
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
        return EntriesPage(page, self._last if is_last else page[-1].sequence)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Lets readers wait for new entries until the block ends, and then releases them."""
        self._serves = True
        try:
            yield
        finally:
            self._serves = False
            self._wake()

    async def refresh(self) -> None:
        """Loads new entries from the database, and wakes the waiting readers. Raises as Database.transaction() does."""
        async with self._database.transaction() as tx:
            now, last, entries = await ended_token_storage.read_ended(tx, self._last)
            if last < self._last:  # another database, as after a restore
                now, last, entries = await ended_token_storage.read_ended(tx, 0)
                self._entries = []
        if last != self._last:
            self._entries = [entry for entry in self._entries if entry.expire_time > now] + list(entries)
            self._ids = {entry.id for entry in self._entries}
            self._last = last
            self._wake()
        await self.acknowledge(self._reader, last)

    async def follow(self) -> None:
        """Updates this copy until the task is cancelled, also while no session can listen."""
        changed = asyncio.Event()
        async with Listener(self._database, ended_token_storage.CHANNEL, lambda _: changed.set()):
            await keep_running("ended tokens", partial(self._refresh_and_wait, changed))

    async def _refresh_and_wait(self, changed: asyncio.Event) -> None:
        changed.clear()
        await self.refresh()
        await wait(changed, POLL_PAUSE_S)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
