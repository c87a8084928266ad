"""The inbox: receives events from the broker and calls their handlers, each event taking effect once."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias

import structlog
from protobuf import Message

from mesh.background import WorkSignal, finish, keep_running, stop, uncancelled
from mesh.database import STALE_SESSION, Connection, Database, Session
from mesh.events import inbox_table, metrics
from mesh.events.broker import Broker, Delivery, Subscription
from mesh.events.envelope import Envelope, UnauthenticEvent
from mesh.events.event import Event
from mesh.events.inbox_table import DueEvent
from mesh.events.lease import lease
from mesh.events.retries import Retries
from mesh.telemetry import tracing

Handler: TypeAlias = Callable[[Connection, Event[Any]], Awaitable[None]]
"""A function that handles an event in the transaction that marks it as done: its writes take effect exactly once."""

Lock: TypeAlias = Callable[[Connection], Awaitable[None]]
"""A function that takes locks for a transaction."""

Results: TypeAlias = dict[DueEvent, Exception | None]
"""Events that were handled, with the errors of those that failed."""

log = structlog.get_logger()

HANDLER_TIMEOUT_S = 30.0
BATCH_EVENTS_MAX = 50  # fewer than the 64 subtransactions that PostgreSQL keeps in a session's shared memory
BATCH_S = 0.05
RECEIVER_IDLE_S_MAX = 15.0  # more than the broker's adapters wait, and than a delivery waits to be acknowledged
POLL_PAUSE_S = 1.0
MEASURE_PAUSE_S = 10.0
DRAIN_TIMEOUT_S = 5.0
_HANDLERS_MAY_WAIT = {"idle_in_transaction_session_timeout": f"'{2 * HANDLER_TIMEOUT_S:.0f}s'"}


class UndeliverableError(Exception):
    """An event that can't be handled by any number of tries: its payload is malformed."""


class UnknownTypeError(Exception):
    """An event whose type has no handler. During an upgrade, newer replicas may have one."""


class HandlerError(Exception):
    """A failure of a handler, which is the `__cause__`."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a try: the cause of a failure, and the pause until the next try, None if there is none."""

    event: DueEvent
    cause: BaseException | None = None
    pause_s: float | None = None

    @property
    def error(self) -> str:
        """Returns the failure in words, for an operator."""
        return f"{type(self.cause).__name__}: {self.cause}"


class Inbox:
    """The receiver of the events in `handlers`. It handles them while its context lasts.

    Events are stored before they are acknowledged to the broker, by one replica for all. Workers of all replicas then
    take stored events, those of one aggregate in order, and run the handler of each in the transaction that marks it as
    done, up to BATCH_EVENTS_MAX events in one transaction. An exception of a handler undoes what it did and is a
    failed try; after the last one the event becomes a dead letter, which blocks no others (`python -m mesh.events`).

    A lock that all handlers need, and that others may hold for long, is taken by `lock`, once in each transaction that
    has events. The wait for it is no part of the time in which handlers are begun, and its failure is no try of any
    event.

    Each event in `separate` has a transaction to itself. Its handler may take long, or have an effect outside the
    database, such as a mail: it keeps no locks of other events, and is not repeated because the commit of theirs fails.
    Separate events have `workers` of their own, so that all others go on while their handlers take long.
    An event must be separate if its handler locks several rows that other aggregates use too: whatever the order in
    which it locks them, the events of a batch together have none, and their transactions could deadlock.
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
        separate: Collection[type[Message]] = (),
        lock: Lock | None = None,
    ) -> None:
        self._database = database
        self._broker = broker
        self._service = service
        self._handlers = {message.desc().type_name: (message, handler) for message, handler in handlers.items()}
        self._retries = retries
        self._workers = workers
        self._separate = {message.desc().type_name for message in separate}
        self._lock = lock
        self._alone = 0  # this many events are handled in transactions of their own
        self._arrived = {separate: WorkSignal(workers) for separate in ([False, True] if separate else [False])}
        self._ended = asyncio.Event()
        self._receiving: list[asyncio.Task[None]] = []
        self._working: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        receiving = {"inbox": self._receive, "inbox metrics": self._measure}
        self._receiving = [asyncio.create_task(keep_running(name, work)) for name, work in receiving.items()]
        self._working = [
            asyncio.create_task(keep_running("inbox worker", partial(self._work, separate), self._ended))
            for separate in self._arrived
            for _ in range(self._workers)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await stop(self._receiving)
        finally:
            self._ended.set()
            for arrived in self._arrived.values():
                arrived.notify()
            await finish(self._working, DRAIN_TIMEOUT_S)  # an effect outside the database is not undone

    async def _receive(self) -> None:
        async with lease(self._database, _lock_of(self._service), RECEIVER_IDLE_S_MAX) as session:
            subscription = await self._broker.subscribe(self._service, self._handlers)
            try:
                await inbox_table.subscribe(session, self._handlers)
                while True:
                    await self._store(session, subscription, await subscription.next())
            finally:
                await subscription.close()

    async def _store(self, session: Session, subscription: Subscription, batch: Sequence[Delivery]) -> None:
        """Stores a batch, then acknowledges it; rejects unauthentic events. An empty one only keeps the lease."""
        try:
            envelopes = [envelope for each in batch if (envelope := await _authentic(each))]
            await inbox_table.store(session, envelopes, self._separate)
        except Exception:
            await subscription.nak()
            raise
        if batch:
            await subscription.ack()
        for separate, arrived in self._arrived.items():
            arrived.notify(sum((each.event_type in self._separate) is separate for each in batch))

    async def _work(self, separate: bool) -> None:
        if not await self._work_batch(separate):
            await self._arrived[separate].wait(POLL_PAUSE_S)

    async def _work_batch(self, separate: bool) -> bool:
        """Handles events that are due, of aggregates that go on with a separate event or of the others. Returns whether
        more may be due.
        """
        batch: list[DueEvent] = []
        outcomes: list[Outcome] = []
        failed: Results = {}
        try:
            async with self._database.transaction(settings=_HANDLERS_MAY_WAIT) as tx:
                limit = 1 if separate or self._alone else BATCH_EVENTS_MAX
                taken = await inbox_table.take(tx, limit, separate=separate)
                if not taken:
                    return False
                if not separate and taken[0].envelope.type in self._separate:
                    # An earlier version has stored it. The other events that are locked here would wait for it.
                    await inbox_table.mark_separate(tx, taken[0])
                    return True
                if self._lock is not None:
                    await self._lock(tx)
                batch = taken  # what fails from here on is a failure of theirs
                results = await self._handle_in_turn(tx, batch)
                more = await inbox_table.finish(tx, _done(results), separate=separate)
                outcomes = await self._record(tx, results)
        except Exception as error:
            if not batch:
                raise
            more, outcomes, failed = True, [], {batch[0]: error} if len(batch) == 1 else {}
            if not failed:
                self._alone = len(batch) + 1  # to find out which event it was
        if not separate:
            self._alone = max(self._alone - 1, 0)
        if failed:
            async with self._database.transaction() as tx:
                outcomes = await self._record(tx, failed)
        for outcome in outcomes:
            self._report(outcome)
        return more

    async def _handle_in_turn(self, tx: Connection, batch: Sequence[DueEvent]) -> Results:
        """Handles events one after the other. Returns them with the errors of those that failed, whose effects are
        undone. An event that is alone has no savepoint: its failure is raised, and undoes the transaction.

        Leaves out those whose aggregate has to wait for a failed or separate one, and those that are not begun within
        BATCH_S: the effects of an event should not wait long for the commit, nor should others for its locks.
        """
        if len(batch) == 1:
            await self._handle(tx, batch[0].envelope)
            return {batch[0]: None}
        results: Results = {}
        held_back: set[str] = set()
        ends_at = asyncio.get_running_loop().time() + BATCH_S
        for event in batch:
            if event.envelope.type in self._separate:
                held_back.add(event.envelope.aggregate)
            if event.envelope.aggregate in held_back:
                continue
            await tx.execute(f"{'RELEASE SAVEPOINT event; ' if results else ''}SAVEPOINT event")
            results[event] = await self._try(tx, event.envelope)
            if results[event] is not None:
                held_back.add(event.envelope.aggregate)
            if asyncio.get_running_loop().time() > ends_at:
                break
        return results

    async def _try(self, tx: Connection, envelope: Envelope) -> Exception | None:
        """Handles an event. Returns the error if that fails, and undoes its effects."""
        try:
            await self._handle(tx, envelope)
        except (HandlerError, UndeliverableError, UnknownTypeError) as error:
            await tx.execute("ROLLBACK TO SAVEPOINT event")
            return error
        return None

    async def _handle(self, tx: Connection, envelope: Envelope) -> None:
        event, handler = self._decode(envelope)
        with envelope.correlated(), tracing.span(f"process {event.type}", "CONSUMER", envelope.origin.trace_headers):
            try:
                with uncancelled():
                    async with asyncio.timeout(HANDLER_TIMEOUT_S):
                        await handler(tx, event)
            except STALE_SESSION:
                raise  # so that the session is replaced
            except Exception as error:
                raise HandlerError from error

    def _decode(self, envelope: Envelope) -> tuple[Event[Any], Handler]:
        known = self._handlers.get(envelope.type)
        if known is None:
            raise UnknownTypeError(f"{self._service} has no handler for {envelope.type}")
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

    async def _record(self, tx: Connection, results: Results) -> list[Outcome]:
        """Records in this transaction which tries failed. Returns those, and the events that are done."""
        done = [Outcome(event) for event in _done(results)]
        failed = [self._failure(event, error) for event, error in results.items() if error is not None]
        return done + [
            outcome for outcome in failed if await inbox_table.fail(tx, outcome.event, outcome.error, outcome.pause_s)
        ]

    def _failure(self, event: DueEvent, error: Exception) -> Outcome:
        cause = error.__cause__ if isinstance(error, HandlerError) and error.__cause__ else error
        final = isinstance(error, UndeliverableError)
        return Outcome(event, cause, None if final else self._retries.pause_s(event.attempts + 1))

    def _report(self, outcome: Outcome) -> None:
        """Counts and logs what was recorded about an event."""
        envelope, attempts = outcome.event.envelope, outcome.event.attempts + 1
        with envelope.correlated():
            if outcome.cause is None:
                self._count(envelope, "done")
                log.info("event handled", attempts=attempts)
            elif outcome.pause_s is None:
                self._count(envelope, "dead")
                log.error("event became a dead letter", attempts=attempts, exc_info=outcome.cause)
            else:
                self._count(envelope, "failed")
                pause_s = round(outcome.pause_s, 1)
                log.warning("event handler failed", attempts=attempts, pause_s=pause_s, exc_info=outcome.cause)

    def _count(self, envelope: Envelope, outcome: str) -> None:
        known = envelope.type if envelope.type in self._handlers else "unknown"
        metrics.HANDLED.labels(known, outcome).inc()

    async def _measure(self) -> None:
        async with self._database.transaction() as tx:
            waiting, dead = await inbox_table.count(tx)
        metrics.INBOX_WAITING.set(waiting)
        metrics.INBOX_DEAD.set(dead)
        await asyncio.sleep(MEASURE_PAUSE_S)


def _done(results: Results) -> list[DueEvent]:
    return [event for event, error in results.items() if error is None]


async def _authentic(delivery: Delivery) -> Envelope | None:
    """Returns the event of a delivery. Rejects one that is not authentic: it is not among the dead letters of the
    inbox, because those can be replayed.
    """
    try:
        return Envelope.received(
            delivery.attributes, delivery.payload, message_id=delivery.message_id, event_type=delivery.event_type
        )
    except UnauthenticEvent as error:
        reason = str(error)
    log.error("unauthentic event rejected", event_type=delivery.event_type, reason=reason)
    metrics.HANDLED.labels(delivery.event_type, "refused").inc()
    await delivery.reject()
    return None


def _lock_of(service: str) -> int:
    """Returns the advisory lock of the replica that receives the events of a service."""
    return int.from_bytes(hashlib.sha256(f"mesh inbox {service}".encode()).digest()[:8], signed=True)
