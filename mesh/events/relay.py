"""The relay, which publishes the rows of the outbox to the broker."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import structlog

from mesh.background import Worker, wait
from mesh.database import Database, Session
from mesh.errors import Unavailable
from mesh.events import metrics, outbox
from mesh.events.broker import Broker
from mesh.events.lease import lease

log = structlog.get_logger()

ADVISORY_LOCK = 0x6D657368_0002  # "mesh", 2: held by the session of the one active relay of a database
BATCH_S = 10.0  # a batch begins nothing later: an aggregate's events are published one after the other
IDLE_S_MAX = 60.0  # far more than BATCH_S and the last publication of a batch
POLL_PAUSE_S = 5.0  # rows are announced by NOTIFY; polling finds those whose announcement was lost
MEASURE_PAUSE_S = 10.0
BATCH_ROWS_MAX = 100
BATCHES_MAX = 20  # after so many, events that the broker refused are tried again


class Relay(Worker):
    """The publisher of a database's outbox, which works while its context lasts. The relay of one replica is active,
    the others stand by.

    If the broker or the database is away, events are only delayed. Events of one aggregate are published in order, each
    after the broker has acknowledged the previous one; those of different aggregates concurrently. A type of event that
    the broker refuses, because it is not provisioned, holds back no other aggregates.
    """

    def __init__(self, database: Database, broker: Broker) -> None:
        super().__init__({"relay": self._relay, "outbox metrics": self._measure})
        self._database = database
        self._broker = broker

    async def _relay(self) -> None:
        """Publishes rows until something fails. The lock ends with the session, so that another replica may take over.

        If this process continues for a moment after its session has died, it publishes events that its successor
        publishes too; the broker drops the duplicates.
        """
        async with lease(self._database, ADVISORY_LOCK, IDLE_S_MAX) as session:
            # The next events need not wait for the disk: if PostgreSQL crashes and loses the last marks, those rows are
            # published again, and their consumers know them.
            await session.execute("SET synchronous_commit = off")
            added = asyncio.Event()

            def wake(*_: Any) -> None:
                added.set()

            session.add_termination_listener(wake)
            await session.add_listener(outbox.CHANNEL, wake)
            while True:
                if not await self._publish_waiting(session, added):
                    await wait(added, POLL_PAUSE_S)

    async def _publish_waiting(self, session: Session, added: asyncio.Event) -> bool:
        """Publishes rows, the oldest first, and leaves out types once the broker has refused them; returns whether more
        may wait. Raises Unavailable at the end if it refused any.
        """
        refused: dict[str, Unavailable] = {}
        published: list[int] = []
        batches, more = 0, True
        while more and batches < BATCHES_MAX:
            added.clear()
            rows = await self._read_next(session, published, refused)
            published, in_time = await self._publish_batch(session, rows, refused)
            more = len(rows) == BATCH_ROWS_MAX or not in_time or added.is_set()
            batches += 1
        if published:
            await outbox.mark_published(session, published)
        if refused:
            types, first = ", ".join(sorted(refused)), next(iter(refused.values()))
            raise Unavailable(f"The broker does not take events of {types}.", reason="BROKER_UNAVAILABLE") from first
        return more

    async def _read_next(
        self, session: Session, published: list[int], refused: dict[str, Unavailable]
    ) -> list[outbox.UnpublishedRow]:
        """Marks the rows of the last batch that were published; returns the oldest that wait for none of a refused
        type.
        """
        if published and not refused:
            return await outbox.mark_and_read(session, published, BATCH_ROWS_MAX)
        if published:
            await outbox.mark_published(session, published)
        return await outbox.read_unpublished(session, BATCH_ROWS_MAX, refused)

    async def _publish_batch(
        self, session: Session, rows: Sequence[outbox.UnpublishedRow], refused: dict[str, Unavailable]
    ) -> tuple[list[int], bool]:
        """Publishes as many rows as can be begun within BATCH_S; adds the types that are refused now. Returns the ids
        of the published rows, and whether all were begun in time. If it fails, it marks those that were published.
        """
        aggregates: dict[str, list[outbox.UnpublishedRow]] = defaultdict(list)
        for row in rows:
            aggregates[row.envelope.aggregate].append(row)
        published: list[int] = []
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + BATCH_S
        results = await asyncio.gather(
            *(self._publish_in_order(rows, published, refused, ends_at) for rows in aggregates.values()),
            return_exceptions=True,
        )
        failure = next((each for each in results if each is not None), None)
        if failure is not None:
            if published:
                await outbox.mark_published(session, published)
            raise failure
        return published, loop.time() <= ends_at

    async def _publish_in_order(
        self,
        rows: Sequence[outbox.UnpublishedRow],
        published: list[int],
        refused: dict[str, Unavailable],
        ends_at: float,
    ) -> None:
        for row in rows:
            if asyncio.get_running_loop().time() > ends_at:
                break
            try:
                with row.envelope.correlated():
                    await self._broker.publish(row.envelope)
            except Unavailable as error:
                refused.setdefault(row.envelope.type, error)
                break
            published.append(row.id)
            metrics.PUBLISHED.labels(row.envelope.type).inc()

    async def _measure(self) -> None:
        async with self._database.transaction() as tx:
            rows, oldest_s = await outbox.measure_backlog(tx)
        metrics.OUTBOX_WAITING.set(rows)
        metrics.OUTBOX_AGE_S.set(oldest_s)
        await asyncio.sleep(MEASURE_PAUSE_S)
