"""The worker that makes the calls to the provider that payments need, and records the outcomes.

The provider is called outside of transactions, by keys that make repetitions harmless. The answer, the postings of the
ledger and the events are then written in one transaction. If the process dies in between, the lease of the payment
ends, and the provider is asked again.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import structlog
from meshwright.payments.v1.events_pb import PaymentAuthorized, PaymentCaptured, PaymentHeld, PaymentRefunded
from prometheus_client import Counter

from mesh.background import Worker
from mesh.database import Connection, Database, WorkListener
from mesh.money_message import money_message
from services.payments import charges, ledger_storage, refund_storage, risk, storage
from services.payments.domain import Failure, Payment, State, capture_posting, refund_posting
from services.payments.events import publish_about, publish_failed
from services.payments.messages import payment_message
from services.payments.provider import Outcome, Provider, ProviderError
from services.payments.refund_storage import Refund

WORKERS: Final = 4
WORKERS_OF_REPEATS: Final = WORKERS // 2
"""The workers that repeat calls, beside making first ones. The others only make first ones: calls that are never
answered are repeated for ever, each for CALL_TIMEOUT_S, and must not hold up other payments.
"""

LEASE: Final = timedelta(seconds=30)
CALL_TIMEOUT_S: Final = 10.0
POLL_PAUSE_S: Final = 1.0
PAUSE_FIRST_S: Final = 0.2
PAUSE_MAX_S: Final = 30.0

ANSWERS: Final = Counter("payments_provider_answers_total", "What the provider answered, or did not.", ["outcome"])

Record = Callable[[Connection, Payment, datetime], Awaitable[Payment | None]]
"""Writes what follows from an answer for a payment, whose row is locked. Returns the payment if the provider is to be
asked for its next step at once.
"""

log = structlog.get_logger()


class ProviderWorker(Worker):
    """The worker that calls the provider while its context lasts. Replicas share the work."""

    def __init__(
        self, database: Database, provider: Provider, limits: risk.Limits, time_max: timedelta, listener: WorkListener
    ) -> None:
        """Prepares the worker. A payment that the provider leaves undecided for longer than `time_max` fails."""
        steps = {
            "payments provider worker": partial(self._work, repeats=True),
            "payments provider worker of first calls": partial(self._work, repeats=False),
        }
        super().__init__(steps, tasks_each=WORKERS_OF_REPEATS)
        self._database = database
        self._provider = provider
        self._limits = limits
        self._time_max = time_max
        self._listener = listener

    async def _work(self, *, repeats: bool) -> None:
        if not await self.work_one(repeats=repeats):
            await self._listener.signal.wait(POLL_PAUSE_S)

    async def work_one(self, *, repeats: bool = True) -> bool:
        """Asks the provider for the payment that has been due for longest; returns False if none is due. Without
        `repeats`, only for one that was not asked for since its last change.
        """
        async with self._database.autocommit() as connection:
            taken = await storage.take_due(connection, LEASE, repeats=repeats)
        if taken is None:
            return False
        with taken.origin.continued("ask the payment provider"):
            following = await self._step(taken.payment, taken.attempts)
            while following is not None:
                following = await self._step(following, 1)
        return True

    async def _step(self, payment: Payment, attempts: int) -> Payment | None:
        """Asks the provider once for a payment that was taken. Returns it if it is taken for its next step already."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                record = await self._ask(payment)
        except (ProviderError, TimeoutError) as error:
            ANSWERS.labels("no_answer").inc()
            log.warning("the provider did not answer", payment=payment.name, attempts=attempts, error=str(error))
            record = None
        async with self._database.transaction() as tx:
            current = await storage.lock(tx, payment)
            if record is not None:
                return await record(tx, current, datetime.now(UTC))
            await storage.postpone(tx, payment.uid, _pause(attempts))
            return None

    async def _ask(self, payment: Payment) -> Record | None:
        """Asks the provider for the next step of a payment. Returns how to record its answer, None if the provider has
        not decided yet.
        """
        if payment.is_overdue(self._time_max, datetime.now(UTC)):
            return self._time_out
        if payment.cancel_requested:
            return self._record_of(await self._provider.void(payment.uid))
        match payment.state:
            case State.PENDING:
                return self._record_of(
                    await self._provider.authorize(payment.uid, payment.payment_method, payment.amount)
                )
            case State.AUTHORIZED:
                return self._record_of(await self._provider.capture(payment.uid))
            case _:
                return await self._refund(payment)

    async def _refund(self, payment: Payment) -> Record:
        """Asks the provider for the oldest refund only, so that any number of them comes to an end."""
        async with self._database.transaction() as tx:
            refunds = (await refund_storage.list_open(tx, payment))[:1]
        for refund in refunds:
            await self._provider.refund(refund.uid, payment.uid, refund.amount)
            ANSWERS.labels("refunded").inc()

        async def record(tx: Connection, current: Payment, now: datetime) -> None:
            for refund in refunds:
                current = await _refunded(tx, current, refund, now)
            await storage.update(tx, current)

        return record

    def _record_of(self, outcome: Outcome) -> Record | None:
        ANSWERS.labels(outcome.name.lower()).inc()
        match outcome:
            case Outcome.AUTHORIZED:
                return self._authorized
            case Outcome.CAPTURED:
                return _captured
            case Outcome.VOIDED:
                return _voided
            case Outcome.DECLINED:
                return _declined
            case Outcome.UNKNOWN_METHOD:
                return _unknown_method
            case Outcome.PROCESSING:
                return None

    async def _authorized(self, tx: Connection, payment: Payment, now: datetime) -> Payment | None:
        history = await storage.history(tx, payment.customer, now)
        authorized = payment.authorized(risk.check(payment.amount, history, self._limits), now)
        if authorized is payment:
            return None
        await storage.update(tx, authorized, lease=LEASE)
        if authorized.state is State.IN_REVIEW:
            await publish_about(tx, authorized, PaymentHeld(payment=payment_message(authorized, staff=False)))
            return None
        await publish_about(tx, authorized, PaymentAuthorized(payment=payment_message(authorized, staff=False)))
        return authorized

    async def _time_out(self, tx: Connection, payment: Payment, now: datetime) -> None:
        """Lets a payment fail that waited for too long. The provider is asked to void it from now on; if it has
        captured it already, the amount is paid back.
        """
        failed = payment.time_out(self._time_max, now)
        if failed is not payment:
            await storage.update(tx, failed)
            await publish_failed(tx, failed)


async def _captured(tx: Connection, payment: Payment, now: datetime) -> None:
    captured = payment.capture(now)
    if captured is payment:
        return
    await storage.update(tx, captured)
    await ledger_storage.post(tx, captured, capture_posting(captured.amount), now)
    await publish_about(tx, captured, PaymentCaptured(payment=payment_message(captured, staff=False)))
    if payment.cancel_requested:
        await charges.refund_rest(tx, captured, now)


async def _voided(tx: Connection, payment: Payment, now: datetime) -> None:
    voided = payment.voided(now)
    if voided is payment:
        return
    await storage.update(tx, voided)
    if voided.failure is not payment.failure:
        await publish_failed(tx, voided)


async def _declined(tx: Connection, payment: Payment, now: datetime) -> None:
    await _fail(tx, payment, Failure.DECLINED, now)


async def _unknown_method(tx: Connection, payment: Payment, now: datetime) -> None:
    await _fail(tx, payment, Failure.UNKNOWN_METHOD, now)


async def _fail(tx: Connection, payment: Payment, failure: Failure, now: datetime) -> None:
    failed = payment.declined(failure, now)
    if failed is not payment:
        await storage.update(tx, failed)
        await publish_failed(tx, failed)


async def _refunded(tx: Connection, payment: Payment, refund: Refund, now: datetime) -> Payment:
    if not await refund_storage.finish(tx, refund, now):
        return payment
    refunded = payment.refund(refund.amount, now)
    await ledger_storage.post(tx, refunded, refund_posting(refund.amount), now)
    event = PaymentRefunded(
        payment=payment_message(refunded, staff=False), amount=money_message(refund.amount), reason=refund.reason
    )
    await publish_about(tx, refunded, event)
    return refunded


def _pause(attempts: int) -> timedelta:
    return timedelta(seconds=min(PAUSE_MAX_S, PAUSE_FIRST_S * 2 ** min(attempts, 10)) * random.uniform(0.5, 1.0))
