"""The table of webhook endpoints."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from mesh.database import Connection, lock_key
from mesh.erased_users import erase_in_parts
from mesh.pagination import Page
from mesh.position import Key
from services.notifications.domain.webhook_endpoint import DisableReason, EndpointDetails, WebhookEndpoint

LIST_KEY_TYPES: Final[tuple[type[Key], ...]] = (datetime, UUID)
"""The sort key of list_endpoints(): create_time, uid."""

LEASE: Final = timedelta(seconds=45)
"""The time after which another process delivers to an endpoint, because the one that has taken it has died. It is three
times as long as an attempt may take.
"""

OWNER_LEASES_MAX: Final = 4
"""The endpoints of one user that are delivered to at the same time."""

_COLUMNS: Final = (
    "uid, owner, url, description, event_types, all_orders, create_time, update_time, version, disable_reason, "
    "secret_version, previous_secret_expire_time, failing_since, enable_time"
)


async def count_of(tx: Connection, owner: str) -> int:
    """Returns the number of a user's endpoints, which no other transaction changes until this one ends."""
    await lock_key(tx, "webhook_endpoints", owner)
    count: int = await tx.fetchval("SELECT count(*) FROM webhook_endpoints WHERE owner = $1", owner)
    return count


async def insert(tx: Connection, endpoint: WebhookEndpoint) -> None:
    """Inserts a new endpoint."""
    await tx.execute(
        f"""
        INSERT INTO webhook_endpoints ({_COLUMNS})
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        *_values(endpoint),
    )


async def update(tx: Connection, endpoint: WebhookEndpoint) -> None:
    """Writes a changed endpoint. find(…, lock=True) must have locked its row in this transaction."""
    await tx.execute(
        f"""
        UPDATE webhook_endpoints SET ({_COLUMNS}) = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        WHERE uid = $1
        """,
        *_values(endpoint),
    )


def _values(endpoint: WebhookEndpoint) -> tuple[object, ...]:
    details = endpoint.details
    return (
        endpoint.uid,
        endpoint.owner,
        details.url,
        details.description,
        details.event_types,
        details.all_orders,
        endpoint.create_time,
        endpoint.update_time,
        endpoint.version,
        endpoint.disable_reason,
        endpoint.secret_version,
        endpoint.previous_secret_expire_time,
        endpoint.failing_since,
        endpoint.enable_time,
    )


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> WebhookEndpoint | None:
    """Returns an endpoint, None if there is none; with `lock`, locks it until the transaction ends. Messages can be
    published to it meanwhile.
    """
    query = f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE uid = $1 {'FOR NO KEY UPDATE' if lock else ''}"
    row = await tx.fetchrow(query, uid)
    return None if row is None else _endpoint(row)


async def list_endpoints(tx: Connection, owner: str, page: Page) -> tuple[Sequence[WebhookEndpoint], str]:
    """Returns a page of the endpoints of a user, the newest first, and the next page's token."""
    after = "AND (create_time, uid) < ($3, $4)" if page.after else ""
    query = f"""
        SELECT {_COLUMNS} FROM webhook_endpoints
        WHERE owner = $1 {after} ORDER BY create_time DESC, uid DESC LIMIT $2
    """
    rows = await tx.fetch(query, owner, page.limit, *(page.after or ()))
    endpoints = [_endpoint(row) for row in rows]
    return page.split(endpoints, lambda endpoint: (endpoint.create_time, endpoint.uid))


async def delete(tx: Connection, endpoint: WebhookEndpoint) -> None:
    """Deletes an endpoint with its deliveries."""
    await tx.execute("DELETE FROM webhook_endpoints WHERE uid = $1", endpoint.uid)


async def delete_of(tx: Connection, owner: str) -> None:
    """Deletes all endpoints of a user with their deliveries. Locks the endpoints first, as those who deliver do."""
    await tx.execute("SELECT FROM webhook_endpoints WHERE owner = $1 ORDER BY uid FOR UPDATE", owner)
    await erase_in_parts(
        tx,
        owner,
        find="""
        SELECT webhook_deliveries.uid FROM webhook_deliveries JOIN webhook_endpoints AS endpoint
        ON endpoint_uid = endpoint.uid WHERE owner = $1
        """,
        erase="DELETE FROM webhook_deliveries WHERE uid = ANY($1::uuid[])",
    )
    await tx.execute("DELETE FROM webhook_endpoints WHERE owner = $1", owner)


async def lease(tx: Connection) -> WebhookEndpoint | None:
    """Takes the endpoint whose deliveries have been due for longest, for LEASE. Returns None if none is due.

    One whose owner has OWNER_LEASES_MAX others with a lease waits, so that nobody's slow receivers occupy all workers.
    """
    row = await tx.fetchrow(
        f"""
        UPDATE webhook_endpoints SET lease_expire_time = now() + $1::interval WHERE uid = (
            SELECT uid FROM webhook_endpoints AS endpoint
            WHERE due_time <= now() AND lease_expire_time <= now() AND disable_reason IS NULL AND (
                SELECT count(*) FROM webhook_endpoints AS other
                WHERE other.owner = endpoint.owner AND other.lease_expire_time > now()
            ) < $2
            ORDER BY due_time LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
        )
        RETURNING {_COLUMNS}
        """,
        LEASE,
        OWNER_LEASES_MAX,
    )
    return None if row is None else _endpoint(row)


async def release(tx: Connection, uid: UUID) -> None:
    """Ends a lease; the endpoint is due when its first pending delivery is. Those that are not committed yet wake it up
    (webhook_wakeups).
    """
    await tx.execute(
        """
        UPDATE webhook_endpoints SET lease_expire_time = '-infinity', due_time = (
            SELECT min(due_time) FROM webhook_deliveries WHERE endpoint_uid = $1 AND due_time IS NOT NULL
        )
        WHERE uid = $1
        """,
        uid,
    )


def _endpoint(row: asyncpg.Record) -> WebhookEndpoint:
    reason = row["disable_reason"]
    return WebhookEndpoint(
        uid=row["uid"],
        owner=row["owner"],
        details=EndpointDetails(row["url"], row["description"], tuple(row["event_types"]), row["all_orders"]),
        create_time=row["create_time"],
        update_time=row["update_time"],
        version=row["version"],
        disable_reason=None if reason is None else DisableReason(reason),
        secret_version=row["secret_version"],
        previous_secret_expire_time=row["previous_secret_expire_time"],
        failing_since=row["failing_since"],
        enable_time=row["enable_time"],
    )
