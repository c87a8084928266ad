"""The worker that delivers webhooks."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self
from uuid import uuid4

import structlog
from prometheus_client import Counter

from mesh.background import finish, keep_running, stop, wait
from mesh.database import Connection, Database
from mesh.standard_webhooks import signed_headers
from services.notifications.domain.notification import Kind
from services.notifications.domain.retry_schedule import RetrySchedule
from services.notifications.domain.webhook_delivery import SCHEDULE, Attempt, WebhookDelivery
from services.notifications.domain.webhook_endpoint import (
    BACKLOG_MAX,
    DISABLE_AFTER,
    DisableReason,
    WebhookEndpoint,
)
from services.notifications.domain.webhook_secret import WebhookSecrets
from services.notifications.notifier import Notifier
from services.notifications.senders.webhook_client import WebhookClient
from services.notifications.storage import (
    user_lock,
    webhook_deliveries,
    webhook_endpoints,
    webhook_messages,
    webhook_wakeups,
)

ATTEMPTS: Final = Counter("notifications_webhook_attempts_total", "Attempts to deliver webhooks.", ["outcome"])
DISABLED: Final = Counter("notifications_webhook_endpoints_disabled_total", "Endpoints that were disabled as dead.")

WORKERS: Final = 64
"""The endpoints that a process delivers to at the same time."""

CONCURRENT_MAX: Final = 8
"""The requests to one endpoint at the same time, by all processes."""

POLL_PAUSE_S: Final = 0.5
DRAIN_TIMEOUT_S: Final = 5.0

_WHY: Final = {
    DisableReason.GONE: "the receiver answered that it wants no more messages (HTTP status 410)",
    DisableReason.FAILING: "no message could be delivered for three days",
    DisableReason.OVERLOADED: f"more than {BACKLOG_MAX} messages were waiting for the receiver",
}

log = structlog.get_logger()


class WebhookDeliveries:
    """The worker, which delivers while its context lasts. Replicas share the endpoints.

    A worker takes an endpoint for as long as it takes to attempt a few of its due deliveries, so that a slow receiver
    occupies one worker of one process. No transaction is open meanwhile. If a process dies, its deliveries are
    attempted again with the same id, by which receivers recognise them.
    """

    def __init__(
        self,
        database: Database,
        client: WebhookClient,
        secrets: WebhookSecrets,
        notifier: Notifier,
        *,
        schedule: RetrySchedule = SCHEDULE,
        disable_after: timedelta = DISABLE_AFTER,
        backlog_max: int = BACKLOG_MAX,
        workers: int = WORKERS,
        poll_pause_s: float = POLL_PAUSE_S,
        drain_s: float = DRAIN_TIMEOUT_S,
    ) -> None:
        self._database = database
        self._client = client
        self._secrets = secrets
        self._notifier = notifier
        self._schedule = schedule
        self._disable_after = disable_after
        self._backlog_max = backlog_max
        self._free = asyncio.Semaphore(workers)
        self._poll_pause_s = poll_pause_s
        self._drain_s = drain_s
        self._ended = asyncio.Event()
        self._dispatching: asyncio.Task[None] | None = None
        self._delivering: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._dispatching = asyncio.create_task(keep_running("webhooks", self._dispatch, self._ended))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        try:
            if self._dispatching is not None:
                await stop([self._dispatching])
        finally:
            await finish(self._delivering, self._drain_s)

    async def _dispatch(self) -> None:
        """Takes an endpoint that is due and starts to deliver to it, or waits for one. One task looks for endpoints,
        whatever the number of workers, so that an idle process asks the database only now and then.
        """
        await self._free.acquire()
        endpoint = None
        try:
            async with self._database.transaction() as tx:
                await webhook_wakeups.drain(tx)
            async with self._database.transaction() as tx:
                endpoint = await webhook_endpoints.lease(tx)
        finally:
            if endpoint is None:
                self._free.release()
        if endpoint is None:
            await wait(self._ended, self._poll_pause_s)
            return
        delivering = asyncio.create_task(self._deliver(endpoint))
        self._delivering.add(delivering)
        delivering.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._delivering.discard(task)
        self._free.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("webhook deliveries were not recorded, and are repeated", error=str(error), exc_info=error)

    async def _deliver(self, endpoint: WebhookEndpoint) -> None:
        async with self._database.transaction() as tx:
            deliveries = await self._take_due(tx, endpoint)
        attempts = await asyncio.gather(*(self._attempt(endpoint, delivery) for delivery in deliveries))
        async with self._database.transaction() as tx:
            await self._record(tx, endpoint, deliveries, attempts)

    async def _take_due(self, tx: Connection, endpoint: WebhookEndpoint) -> Sequence[WebhookDelivery]:
        """Returns deliveries that are due. Deletes those that were added while the endpoint received the orders of all
        customers, if it no longer does: its URL may be another one now. If it does only since it was taken, they stay
        due.
        """
        due = await webhook_deliveries.list_due(tx, endpoint.uid, CONCURRENT_MAX)
        directed = [each for each in due if endpoint.receives(each.message.customer)]
        if len(directed) < len(due):
            await webhook_deliveries.delete_of_others(tx, [each for each in due if each not in directed])
        return directed

    async def _attempt(self, endpoint: WebhookEndpoint, delivery: WebhookDelivery) -> Attempt:
        now, message = datetime.now(UTC), delivery.message
        secrets = endpoint.signing_secrets(self._secrets, now)
        headers = signed_headers(message.webhook_id, now, message.body, secrets)
        attempt = await self._client.post(endpoint.details.url, message.body, headers, owner=endpoint.owner)
        ATTEMPTS.labels("succeeded" if attempt.succeeded else "failed").inc()
        if not attempt.succeeded:
            log.info("webhook attempt failed", delivery=delivery.name, status=attempt.status, error=attempt.error)
        return attempt

    async def _record(
        self,
        tx: Connection,
        taken: WebhookEndpoint,
        deliveries: Sequence[WebhookDelivery],
        attempts: Sequence[Attempt],
    ) -> None:
        """Records the attempts and the health of the endpoint, which its owner may have changed or deleted. Failures at
        a URL that was replaced meanwhile do not count at the new one, where the deliveries are attempted at once.

        The lock of the owner comes before that of the endpoint, as in an erasure. The erasure of a customer may delete
        messages meanwhile: their results are left out.
        """
        await user_lock.share(tx, taken.owner)
        endpoint = await webhook_endpoints.find(tx, taken.uid, lock=True)
        if endpoint is None:
            return
        same_url = endpoint.details.url == taken.details.url
        held = await webhook_messages.hold(tx, [delivery.message.uid for delivery in deliveries])
        results = [
            (delivery, attempt)
            for delivery, attempt in zip(deliveries, attempts, strict=True)
            if delivery.message.uid in held and (same_url or attempt.succeeded)
        ]
        for delivery, attempt in results:
            await webhook_deliveries.record(tx, delivery.attempted(attempt, self._schedule))
        if results and endpoint.disable_reason is None:
            after = endpoint.after(
                succeeded=any(attempt.succeeded for _, attempt in results),
                gone=any(attempt.gone for _, attempt in results),
                overloaded=await webhook_deliveries.has_more_than(
                    tx, endpoint.uid, self._backlog_max, since=endpoint.enable_time
                ),
                now=datetime.now(UTC),
                disable_after=self._disable_after,
            )
            if after is not endpoint:
                await webhook_endpoints.update(tx, after)
            if after.disable_reason is not None:
                await self._notify(tx, after, after.disable_reason)
        await webhook_endpoints.release(tx, endpoint.uid)

    async def _notify(self, tx: Connection, endpoint: WebhookEndpoint, reason: DisableReason) -> None:
        """Notifies the owner, without the URL: it is a text of the owner's, whose address may be somebody else's."""
        DISABLED.inc()
        log.warning("webhook endpoint disabled", endpoint=endpoint.name, reason=reason)
        await self._notifier.notify(
            tx,
            uuid4(),
            endpoint.owner,
            Kind.WEBHOOK_ENDPOINT_DISABLED,
            resource=endpoint.name,
            name=endpoint.name,
            why=_WHY[reason],
        )
