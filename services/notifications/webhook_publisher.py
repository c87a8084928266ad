"""The publisher of webhooks about orders."""

import json
from datetime import UTC, datetime
from uuid import UUID

from meshwright.orders.v1.orders_pb import Order

from mesh.database import Connection
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.webhook_delivery import Message
from services.notifications.storage import erased_users, user_lock, webhook_messages


class WebhookPublisher:
    """Publishes messages about orders. They are delivered after the transaction has committed."""

    def __init__(self, hashes: KeyedHash) -> None:
        self._hashes = hashes

    async def publish(self, tx: Connection, uid: UUID, event_type: str, time: datetime, order: Order) -> None:
        """Publishes what happened to an order at this time, once for each `uid`, to the endpoints that want it. Nothing
        is published about users who are gone, because an event may arrive after that of their deletion. What is left of
        their orders has an empty name.
        """
        if not order.customer:
            return
        await user_lock.share(tx, order.customer)
        if await erased_users.contains(tx, self._hashes.of_user(order.customer)):
            return
        body = message_body(event_type, time, json.loads(order.to_json()))
        await webhook_messages.publish(tx, Message(uid, order.customer, event_type, body))


def message_body(event_type: str, time: datetime, data: object) -> bytes:
    """Returns the body of a message in the form that Standard Webhooks recommends."""
    timestamp = time.astimezone(UTC).isoformat().replace("+00:00", "Z")
    body = {"type": event_type, "timestamp": timestamp, "data": data}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
