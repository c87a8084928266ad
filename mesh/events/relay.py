"""The relay, which publishes the rows of the outbox to the broker."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import structlog

from mesh.background import Worker, wait
from mesh.database import Database, Session
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


class Relay(Worker):
    """The publisher of a database's outbox, which works while its context lasts. The relay of one replica is active,
    the others stand by.

    If the broker or the database is away, events are only delayed. Events of one aggregate are published in order, each
    after the broker has acknowledged the previous one; those of different aggregates concurrently.
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
            added = asyncio.Event()

            def wake(*_: Any) -> None:
                added.set()

            session.add_termination_listener(wake)
            await session.add_listener(outbox.CHANNEL, wake)
            while True:
                added.clear()
                while await self._publish_batch(session):
                    pass
                await wait(added, POLL_PAUSE_S)

    async def _publish_batch(self, session: Session) -> bool:
        """Publishes the oldest rows, as many as can be begun within BATCH_S; returns whether more may have waited. Raises
        if the broker did not accept all.
        """
        rows = await outbox.read_unpublished(session, BATCH_ROWS_MAX)
        if not rows:
            return False
        aggregates: dict[str, list[outbox.UnpublishedRow]] = defaultdict(list)
        for row in rows:
            aggregates[row.envelope.aggregate].append(row)
        published: list[int] = []
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + BATCH_S
        results = await asyncio.gather(
            *(self._publish_in_order(rows, published, ends_at) for rows in aggregates.values()), return_exceptions=True
        )
        if published:
            await outbox.mark_published(session, published)
        for failure in results:
            if failure is not None:
                raise failure
        return len(rows) == BATCH_ROWS_MAX or loop.time() > ends_at

    async def _publish_in_order(
        self, rows: Sequence[outbox.UnpublishedRow], published: list[int], ends_at: float
    ) -> None:
        for row in rows:
            if asyncio.get_running_loop().time() > ends_at:
                break
            with row.envelope.correlated():
                await self._broker.publish(row.envelope)
            published.append(row.id)
            metrics.PUBLISHED.labels(row.envelope.type).inc()

    async def _measure(self) -> None:
        async with self._database.transaction() as tx:
            rows, oldest_s = await outbox.measure_backlog(tx)
        metrics.OUTBOX_WAITING.set(rows)
        metrics.OUTBOX_AGE_S.set(oldest_s)
        await asyncio.sleep(MEASURE_PAUSE_S)
