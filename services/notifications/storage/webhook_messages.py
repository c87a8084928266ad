"""The table of webhook messages. Each has a delivery for every endpoint that it is for."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final
from uuid import UUID

from mesh.database import Connection
from mesh.erased_users import erase_in_parts
from services.notifications.domain.webhook_delivery import Message
from services.notifications.storage import webhook_wakeups

KEPT_FOR: Final = timedelta(days=30)


async def publish(tx: Connection, message: Message) -> None:
    """Adds a delivery of a message about an order for every enabled endpoint of its customer, and for those of staff
    that receive all orders. Without any, nothing is stored.
    """
    query = """
        SELECT uid FROM webhook_endpoints
        WHERE owner = $1 AND disable_reason IS NULL AND (event_types = '{}' OR $2 = ANY(event_types))
        UNION
        SELECT uid FROM webhook_endpoints
        WHERE all_orders AND disable_reason IS NULL AND (event_types = '{}' OR $2 = ANY(event_types))
    """
    endpoints = [row["uid"] for row in await tx.fetch(query, message.customer, message.type)]
    if not endpoints or not await insert(tx, message):
        return
    await tx.execute(
        """
        INSERT INTO webhook_deliveries (uid, endpoint_uid, message_uid, state, create_time, due_time)
        SELECT gen_random_uuid(), endpoint.uid, $1, 'pending', now(), now()
        FROM webhook_endpoints AS endpoint WHERE endpoint.uid = ANY($2) FOR KEY SHARE
        """,
        message.uid,
        endpoints,
    )
    await webhook_wakeups.add(tx, endpoints)


async def insert(tx: Connection, message: Message) -> bool:
    """Inserts a message; returns False if it exists already."""
    query = """
        INSERT INTO webhook_messages (uid, customer, type, body) VALUES ($1, $2, $3, $4)
        ON CONFLICT (uid) DO NOTHING RETURNING true
    """
    return await tx.fetchval(query, message.uid, message.customer, message.type, message.body) is not None


async def hold(tx: Connection, uids: Iterable[UUID]) -> set[UUID]:
    """Keeps messages from being deleted until the transaction ends, and returns them. Leaves out those that another
    transaction deletes instead of waiting for it: that one may wait for a delivery of another message.
    """
    query = "SELECT uid FROM webhook_messages WHERE uid = ANY($1) FOR KEY SHARE SKIP LOCKED"
    return {row["uid"] for row in await tx.fetch(query, list(uids))}


async def delete_of(tx: Connection, customer: str) -> None:
    """Deletes all messages about a customer's orders with their deliveries, to all receivers."""
    await erase_in_parts(
        tx,
        customer,
        find="SELECT uid FROM webhook_messages WHERE customer = $1",
        erase="DELETE FROM webhook_messages WHERE uid = ANY($1::uuid[])",
    )


async def purge(tx: Connection, limit: int) -> int:
    """Deletes up to `limit` messages that are older than KEPT_FOR, with their deliveries; returns their number. Waits
    for no erasure, which deletes them in another order.
    """
    query = """
        WITH purged AS (
            DELETE FROM webhook_messages WHERE uid IN (
                SELECT uid FROM webhook_messages WHERE create_time < now() - $1::interval ORDER BY create_time LIMIT $2
                FOR UPDATE SKIP LOCKED
            ) RETURNING uid
        )
        SELECT count(*) FROM purged
    """
    purged: int = await tx.fetchval(query, KEPT_FOR, limit)
    return purged
