"""The sweeper: helps orders on that have waited for a step for longer than its limit, or cancels them."""

import asyncio
from datetime import UTC, datetime
from typing import Final

import structlog
from prometheus_client import Counter

from mesh.background import Worker
from mesh.database import Database
from mesh.errors import MeshError
from services.orders import saga, storage
from services.orders.clients import Inventory, Outcome, Payments
from services.orders.domain import Limits, Order, PendingStep

SWEPT: Final = Counter("orders_swept_total", "Orders that waited for a step for too long.", ["step", "action"])
POLL_PAUSE_S: Final = 1.0
WORKERS: Final = 4

log = structlog.get_logger()


class Sweeper(Worker):
    """The worker, which sweeps while its context lasts. Replicas share the orders.

    An order that has waited for the limit of its step gets one retry: its service is called instead of waiting for its
    event. If the order still waits after the limit has passed again, it is cancelled, by which it is compensated,
    unless payments knows an outcome whose event is late.
    """

    def __init__(
        self,
        database: Database,
        inventory: Inventory,
        payments: Payments,
        limits: Limits,
        *,
        poll_pause_s: float = POLL_PAUSE_S,
    ) -> None:
        super().__init__({"sweeper": self._sweep}, tasks_each=WORKERS)
        self._database = database
        self._inventory = inventory
        self._payments = payments
        self._limits = limits
        self._poll_pause_s = poll_pause_s

    async def _sweep(self) -> None:
        swept = [await self._sweep_one(step) for step in PendingStep]
        if not any(swept):
            await asyncio.sleep(self._poll_pause_s)

    async def _sweep_one(self, step: PendingStep) -> bool:
        """Retries or cancels one order. Returns False if none waits for this step for too long.

        No transaction is open during calls. A process that dies before it has retried leaves the order to be cancelled,
        one that dies before it has cancelled leaves that to the first sweep after LEASE.
        """
        now, limit = datetime.now(UTC), self._limits.of(step)
        async with self._database.transaction() as tx:
            order = await storage.take_overdue(tx, step, now - limit)
            if order is None:
                return False
            retried = order.can_retry(now)
            taken = order.retry(now) if retried else order.give_up(limit, now)
            await saga.change(tx, order, taken, saga.SOURCE)
        log.warning("order waited for too long", order=order.name, step=step.value, retried=retried)
        if retried:
            SWEPT.labels(step.value, "retried").inc()
            await self._retry(taken, step)
        else:
            await self._give_up(taken, step)
        return True

    async def _give_up(self, order: Order, step: PendingStep) -> None:
        """Cancels an order, unless its payment leads it on or it has gone on meanwhile."""
        assert order.wait is not None, "only a pending order is given up"
        outcome = await self._late_outcome(order, step)
        async with self._database.transaction() as tx:
            current = await storage.find(tx, order.uid, lock=True)
            assert current is not None, "orders are never deleted"
            now = datetime.now(UTC)
            changed, actor = outcome(current, now), Payments.NAME
            if timed_out := order.wait.is_as(changed.wait):
                changed, actor = changed.time_out(now), saga.SOURCE
            await saga.change(tx, current, changed, actor)
        if timed_out:
            SWEPT.labels(step.value, "cancelled").inc()
            await self._compensate(changed)
        elif changed is not current:
            SWEPT.labels(step.value, "resolved").inc()

    async def _late_outcome(self, order: Order, step: PendingStep) -> Outcome:
        """Returns the effect of the payment as payments has it, whose event may be late. There is none if the order
        waits for no payment, or payments does not respond.
        """
        if step is not PendingStep.STOCK:
            try:
                return await self._payments.find(order)
            except MeshError as error:
                log.info("no payment found", order=order.name, error=str(error))
        return lambda current, _: current

    async def _compensate(self, order: Order) -> None:
        """Calls the services that compensate the order. OrderCancelled makes them do so as well, but the order may have
        waited because events don't get through.
        """
        for service in (self._inventory, self._payments):
            try:
                await service.undo(order)
            except MeshError as error:
                log.warning("order not compensated yet", order=order.name, service=service.NAME, error=str(error))

    async def _retry(self, order: Order, step: PendingStep) -> None:
        service = self._inventory if step is PendingStep.STOCK else self._payments
        try:
            outcome = await service.retry(order)
        except MeshError as error:
            log.warning("step could not be retried", order=order.name, step=step.value, error=str(error))
            return
        async with self._database.transaction() as tx:
            current = await storage.find(tx, order.uid, lock=True)
            assert current is not None, "orders are never deleted"
            await saga.change(tx, current, outcome(current, datetime.now(UTC)), service.NAME)
