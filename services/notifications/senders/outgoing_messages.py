"""The worker that sends the messages which wait to leave the shop."""

import asyncio
import contextlib
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self

import structlog
from prometheus_client import Counter

from mesh.background import finish, keep_running, wait
from mesh.database import Database
from mesh.errors import MeshError
from services.notifications.domain.notification import Channel, DeliveryState
from services.notifications.domain.retry_schedule import RetrySchedule
from services.notifications.senders.channel import Sender, Undeliverable
from services.notifications.storage import notifications, outgoing_messages
from services.notifications.storage.outgoing_messages import OutgoingMessage

UNDELIVERABLE: Final = Counter(
    "notifications_undeliverable_total", "Messages that can't be delivered, and are not tried again."
)
SCHEDULE: Final = RetrySchedule((5, 15, 60, 300, 900, 1800, 3600, 7200, 14400, 28800))
WORKERS: Final = 4  # for each channel, so that one that does not answer holds up no other
POLL_PAUSE_S: Final = 1.0
SEND_TIMEOUT_S: Final = 30.0
SETTLE_TIMEOUT_S: Final = 240.0  # with the other much less than the lease: no message is sent by two workers at once
DRAIN_TIMEOUT_S: Final = 5.0

log = structlog.get_logger()


class OutgoingMessages:
    """The worker, which sends messages while its context lasts. Replicas share the work.

    No transaction is open while a message is sent. A process that dies between sending and recording it sends it again,
    with the same Message-ID, because mail can't be sent exactly once. One that stops leaves what it could not send to
    others at once.
    """

    def __init__(
        self,
        database: Database,
        senders: Mapping[Channel, Sender],
        schedule: RetrySchedule = SCHEDULE,
        *,
        poll_pause_s: float = POLL_PAUSE_S,
        drain_s: float = DRAIN_TIMEOUT_S,
    ) -> None:
        self._database = database
        self._senders = senders
        self._schedule = schedule
        self._poll_pause_s = poll_pause_s
        self._drain_s = drain_s
        self._ended = asyncio.Event()
        self._workers: list[asyncio.Task[None]] = []
        self._unsent: list[OutgoingMessage] = []
        self._unrecorded: list[tuple[OutgoingMessage, DeliveryState]] = []

    async def __aenter__(self) -> Self:
        self._workers = [
            asyncio.create_task(keep_running("outgoing messages", partial(self._work, channel), self._ended))
            for channel in self._senders
            for _ in range(WORKERS)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        try:
            await finish(self._workers, self._drain_s)
        finally:
            with contextlib.suppress(MeshError):
                await self._hand_over()

    async def _hand_over(self) -> None:
        """Records the results that the stop has kept from it, and makes the messages due again that it has kept from
        being sent. If the database is away, others send all of these once the lease ends.
        """
        for message, state in self._unrecorded:
            await self._record(message, state)
        for message in self._unsent:
            await self._postpone(message, 0)

    async def _work(self, channel: Channel) -> None:
        async with self._database.transaction() as tx:
            message = await outgoing_messages.take(tx, channel)
        if message is None:
            await wait(self._ended, self._poll_pause_s)
            return
        with message.origin.continued("send a message"):
            await self._send_and_settle(message)

    async def _send_and_settle(self, message: OutgoingMessage) -> None:
        facts = {"notification": message.notification.name, "channel": message.channel, "attempts": message.attempts}
        try:
            await self._send(message)
        except Undeliverable as error:
            await self._give_up(message)
            log.warning("message is undeliverable", **facts, reason=str(error))
        except Exception as error:
            if (pause_s := self._schedule.pause_s(message.attempts)) is None:
                await self._give_up(message)
                log.exception("message given up", **facts)
                return
            await self._postpone(message, pause_s)
            log.warning("message not sent yet", **facts, pause_s=round(pause_s, 1), error=str(error))
        else:
            await self._settle(message, DeliveryState.SENT)

    async def _send(self, message: OutgoingMessage) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._senders[message.channel].send(message.notification)
        except asyncio.CancelledError:
            self._unsent.append(message)
            raise

    async def _postpone(self, message: OutgoingMessage, pause_s: float) -> None:
        async with self._database.transaction() as tx:
            await outgoing_messages.postpone(tx, message, pause_s)

    async def _give_up(self, message: OutgoingMessage) -> None:
        await self._settle(message, DeliveryState.UNDELIVERABLE)
        UNDELIVERABLE.inc()

    async def _settle(self, message: OutgoingMessage, state: DeliveryState) -> None:
        """Records the result, if need be once the database is back: otherwise the message would be sent again."""
        try:
            await self._record_in_time(message, state)
        except asyncio.CancelledError:
            self._unrecorded.append((message, state))
            raise

    async def _record_in_time(self, message: OutgoingMessage, state: DeliveryState) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + SETTLE_TIMEOUT_S
        while True:
            try:
                await self._record(message, state)
            except MeshError:
                if loop.time() > ends_at:
                    raise
                await asyncio.sleep(self._poll_pause_s)
            else:
                return

    async def _record(self, message: OutgoingMessage, state: DeliveryState) -> None:
        async with self._database.transaction() as tx:
            await notifications.mark_delivered(tx, message.notification, message.channel, state)
            await outgoing_messages.remove(tx, message)
