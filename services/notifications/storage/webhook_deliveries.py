"""The tables of webhook deliveries and their attempts: the delivery log."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.pagination import Page
from mesh.position import Key
from services.notifications.domain.webhook_delivery import Attempt, Message, State, WebhookDelivery
from services.notifications.domain.webhook_endpoint import WebhookEndpoint
from services.notifications.storage import webhook_wakeups

LIST_KEY_TYPES: Final[tuple[type[Key], ...]] = (datetime, UUID)
"""The sort key of list_deliveries(): create_time, uid."""

_SELECT: Final = """
SELECT delivery.uid, endpoint_uid, message_uid, state, delivery.create_time, due_time, customer, type, body
FROM webhook_deliveries AS delivery JOIN webhook_messages AS message ON message.uid = message_uid
"""


async def insert(tx: Connection, delivery: WebhookDelivery) -> None:
    """Inserts a delivery, and makes its endpoint due. The transaction must have locked the endpoint, and its message
    unless it has inserted that.
    """
    await tx.execute(
        """
        INSERT INTO webhook_deliveries (uid, endpoint_uid, message_uid, state, create_time, due_time)
        VALUES ($1, $2, $3, $4, $5, $6)
        """,
        delivery.uid,
        delivery.endpoint,
        delivery.message.uid,
        delivery.state.value,
        delivery.create_time,
        delivery.due_time,
    )
    await webhook_wakeups.add(tx, [delivery.endpoint])


async def record(tx: Connection, delivery: WebhookDelivery) -> None:
    """Records the last attempt of a delivery, unless the delivery was deleted meanwhile."""
    number, attempt = len(delivery.attempts), delivery.attempts[-1]
    updated = await tx.fetchval(
        "UPDATE webhook_deliveries SET state = $2, due_time = $3 WHERE uid = $1 RETURNING true",
        delivery.uid,
        delivery.state.value,
        delivery.due_time,
    )
    if updated is None:
        return
    await tx.execute(
        """
        INSERT INTO webhook_attempts (delivery_uid, number, time, duration, status, error)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
        """,
        delivery.uid,
        number,
        attempt.time,
        attempt.duration,
        attempt.status,
        attempt.error,
    )


async def delete_of_others(tx: Connection, deliveries: Iterable[WebhookDelivery]) -> None:
    """Deletes deliveries about the orders of others than the owner, with their attempts. Keeps those to endpoints that
    receive all orders by now.
    """
    query = """
        DELETE FROM webhook_deliveries AS delivery USING webhook_endpoints AS endpoint
        WHERE delivery.uid = ANY($1) AND endpoint.uid = endpoint_uid AND NOT all_orders
    """
    await tx.execute(query, [each.uid for each in deliveries])


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> WebhookDelivery | None:
    """Returns a delivery, None if there is none; with `lock`, keeps its message from being deleted until the
    transaction ends.
    """
    query = f"{_SELECT} WHERE delivery.uid = $1 {'FOR KEY SHARE OF message' if lock else ''}"
    deliveries = await _with_attempts(tx, await tx.fetch(query, uid))
    return deliveries[0] if deliveries else None


async def list_due(tx: Connection, endpoint: UUID, limit: int) -> Sequence[WebhookDelivery]:
    """Returns the deliveries of an endpoint that have been due for longest."""
    query = f"{_SELECT} WHERE endpoint_uid = $1 AND due_time <= now() ORDER BY due_time LIMIT $2"
    return await _with_attempts(tx, await tx.fetch(query, endpoint, limit))


async def has_more_than(tx: Connection, endpoint: UUID, count: int, *, since: datetime) -> bool:
    """Returns whether more than `count` deliveries of an endpoint are pending of those since a time. It reads at most
    `count` + 1 of them, and all older ones that wait.
    """
    query = """
        SELECT EXISTS (
            SELECT FROM webhook_deliveries
            WHERE endpoint_uid = $1 AND due_time IS NOT NULL AND create_time >= $2 OFFSET $3
        )
    """
    more: bool = await tx.fetchval(query, endpoint, since, count)
    return more


async def list_deliveries(
    tx: Connection, endpoint: WebhookEndpoint, page: Page
) -> tuple[Sequence[WebhookDelivery], str]:
    """Returns a page of the deliveries that are for an endpoint, the newest first, and the next page's token."""
    after = "AND (delivery.create_time, delivery.uid) < ($5, $6)" if page.after else ""
    query = f"""
        {_SELECT} WHERE endpoint_uid = $1 AND ($2 OR customer = $3) {after}
        ORDER BY delivery.create_time DESC, delivery.uid DESC LIMIT $4
    """
    receives = endpoint.details.all_orders, endpoint.owner
    rows = await tx.fetch(query, endpoint.uid, *receives, page.limit, *(page.after or ()))
    deliveries = await _with_attempts(tx, rows)
    return page.split(deliveries, lambda delivery: (delivery.create_time, delivery.uid))


async def _with_attempts(tx: Connection, rows: "Sequence[asyncpg.Record]") -> list[WebhookDelivery]:
    query = """
        SELECT delivery_uid, time, duration, status, error FROM webhook_attempts
        WHERE delivery_uid = ANY($1) ORDER BY delivery_uid, number
    """
    attempts: dict[UUID, list[Attempt]] = defaultdict(list)
    for row in await tx.fetch(query, [row["uid"] for row in rows]):
        attempt = Attempt(row["time"], row["duration"], row["status"], row["error"])
        attempts[row["delivery_uid"]].append(attempt)
    return [
        WebhookDelivery(
            uid=row["uid"],
            endpoint=row["endpoint_uid"],
            message=Message(row["message_uid"], row["customer"], row["type"], row["body"]),
            state=State(row["state"]),
            create_time=row["create_time"],
            due_time=row["due_time"],
            attempts=tuple(attempts[row["uid"]]),
        )
        for row in rows
    ]
