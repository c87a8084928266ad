"""The inbox: receives events from the broker and calls their handlers, each event taking effect once."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeAlias

import structlog
from protobuf import Message

from mesh.background import keep_running, stop, wait
from mesh.database import Connection, Database
from mesh.errors import MeshError
from mesh.events import inbox_table, metrics
from mesh.events.broker import Broker, Delivery
from mesh.events.envelope import Envelope, UnauthenticEvent
from mesh.events.event import Event
from mesh.events.inbox_table import Received
from mesh.events.retries import Retries
from mesh.telemetry import tracing

Handler: TypeAlias = Callable[[Connection, Event[Any]], Awaitable[None]]
"""A function that handles an event in the transaction that marks it as done: its writes take effect exactly once."""

log = structlog.get_logger()

HANDLER_TIMEOUT_S = 30.0
POLL_PAUSE_S = 1.0
MEASURE_PAUSE_S = 10.0
DRAIN_TIMEOUT_S = 5.0


class UndeliverableError(Exception):
    """An event that can't be handled by any number of tries: its type has no handler, or its payload is malformed."""


class HandlerError(Exception):
    """A failure of a handler, which is the `__cause__`."""


class Inbox:
    """The receiver of the events in `handlers`. It handles them while its context lasts.

    An event is stored before it is acknowledged to the broker. Workers then take stored events, those of one aggregate
    in order, and run the handler in the transaction that marks the event as done. An exception of a handler is a failed
    try; after the last one the event becomes a dead letter, which blocks no others (`python -m mesh.events`). Replicas
    share the work.
    """

    def __init__(
        self,
        database: Database,
        broker: Broker,
        *,
        service: str,
        handlers: Mapping[type[Message], Handler],
        retries: Retries = Retries(),  # noqa: B008 - it is immutable
        workers: int = 2,
    ) -> None:
        self._database = database
        self._broker = broker
        self._service = service
        self._handlers = {message.desc().type_name: (message, handler) for message, handler in handlers.items()}
        self._retries = retries
        self._workers = workers
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._receiving: list[asyncio.Task[None]] = []
        self._working: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        receiving = {"inbox": self._receive, "inbox metrics": self._measure}
        self._receiving = [asyncio.create_task(keep_running(name, work)) for name, work in receiving.items()]
        self._working = [
            asyncio.create_task(keep_running("inbox worker", self._work, self._ended)) for _ in range(self._workers)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._receiving)
        self._ended.set()
        self._arrived.set()
        await asyncio.wait(self._working, timeout=DRAIN_TIMEOUT_S)  # an effect outside the database is not undone
        await stop(self._working)

    async def _receive(self) -> None:
        subscription = await self._broker.subscribe(self._service, self._handlers)
        try:
            while True:
                if (delivery := await subscription.next()) is not None:
                    await self._take(delivery)
        finally:
            await subscription.close()

    async def _take(self, delivery: Delivery) -> None:
        """Stores an event, then acknowledges it; rejects an unauthentic one."""
        try:
            envelope = Envelope.received(
                delivery.attributes, delivery.payload, message_id=delivery.message_id, event_type=delivery.event_type
            )
        except UnauthenticEvent as error:
            await _reject(delivery, str(error))
            return
        with envelope.correlated():
            await self._store(envelope, delivery)
        self._arrived.set()

    async def _store(self, envelope: Envelope, delivery: Delivery) -> None:
        try:
            async with self._database.transaction() as tx:
                await inbox_table.store(tx, envelope)
        except MeshError:
            await delivery.nak()
            raise
        await delivery.ack()

    async def _work(self) -> None:
        self._arrived.clear()
        if not await self._work_one():
            await wait(self._arrived, POLL_PAUSE_S)

    async def _work_one(self) -> bool:
        """Handles one event; returns False if none is due."""
        received = None
        try:
            async with self._database.transaction() as tx:
                received = await inbox_table.take(tx)
                if received is None:
                    return False
                await self._handle(tx, received.envelope)
                await inbox_table.finish(tx, received)
        except Exception as error:
            if received is None:
                raise
            with received.envelope.correlated():
                await self._record_failure(received, error)
        else:
            self._count(received.envelope, "done")
            with received.envelope.correlated():
                log.info("event handled", attempts=received.attempts + 1)
        return True

    async def _handle(self, tx: Connection, envelope: Envelope) -> None:
        event, handler = self._decode(envelope)
        await tx.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{2 * HANDLER_TIMEOUT_S:.0f}s'")
        with envelope.correlated(), tracing.span(f"process {event.type}", "CONSUMER", envelope.trace_headers):
            try:
                async with asyncio.timeout(HANDLER_TIMEOUT_S):
                    await handler(tx, event)
            except Exception as error:
                raise HandlerError from error

    def _decode(self, envelope: Envelope) -> tuple[Event[Any], Handler]:
        known = self._handlers.get(envelope.type)
        if known is None:
            raise UndeliverableError(f"{self._service} has no handler for {envelope.type}")
        message_type, handler = known
        try:
            data = message_type.from_binary(envelope.payload)
        except Exception as error:
            raise UndeliverableError(f"the payload is not a {envelope.type}: {error}") from error
        event = Event(
            id=envelope.id,
            type=envelope.type,
            source=envelope.source,
            aggregate=envelope.aggregate,
            time=envelope.time,
            data=data,
        )
        return event, handler

    async def _record_failure(self, received: Received, error: Exception) -> None:
        cause = error.__cause__ if isinstance(error, HandlerError) and error.__cause__ else error
        attempts = received.attempts + 1
        pause_s = None if isinstance(error, UndeliverableError) else self._retries.pause_s(attempts)
        async with self._database.transaction() as tx:
            if not await inbox_table.fail(tx, received, f"{type(cause).__name__}: {cause}", pause_s):
                return
        if pause_s is None:
            self._count(received.envelope, "dead")
            log.error("event set aside as a dead letter", attempts=attempts, exc_info=cause)
        else:
            self._count(received.envelope, "failed")
            log.warning("event handler failed", attempts=attempts, pause_s=round(pause_s, 1), exc_info=cause)

    def _count(self, envelope: Envelope, outcome: str) -> None:
        known = envelope.type if envelope.type in self._handlers else "unknown"
        metrics.HANDLED.labels(known, outcome).inc()

    async def _measure(self) -> None:
        async with self._database.transaction() as tx:
            waiting, dead = await inbox_table.count(tx)
        metrics.INBOX_WAITING.set(waiting)
        metrics.INBOX_DEAD.set(dead)
        await asyncio.sleep(MEASURE_PAUSE_S)


async def _reject(delivery: Delivery, reason: str) -> None:
    """Rejects an unauthentic event. It is not among the dead letters of the inbox, because those can be replayed."""
    log.error("unauthentic event rejected", event_type=delivery.event_type, reason=reason)
    metrics.HANDLED.labels(delivery.event_type, "refused").inc()
    await delivery.reject()
