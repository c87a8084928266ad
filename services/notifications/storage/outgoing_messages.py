"""The table of messages that wait to leave the shop, one for each channel of a notification."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from mesh.database import Connection
from mesh.telemetry.origin import Origin
from services.notifications.domain.notification import Channel, Notification
from services.notifications.storage import notifications

LEASE: Final = timedelta(minutes=5)
"""The time after which a message is sent again, because the process that took it was killed. It has as long to record
what became of the message, while the database is away: with a shorter lease another one would send it again.
"""


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to send. `attempts` counts the one that is being made. `origin` is what the user is notified of."""

    notification: Notification
    channel: Channel
    attempts: int
    origin: Origin


async def add(tx: Connection, notification: Notification, channels: Iterable[Channel]) -> None:
    """Adds a message for each of these channels."""
    origin = Origin.current()
    await tx.executemany(
        "INSERT INTO outgoing_messages (notification_uid, channel, request_id, traceparent) VALUES ($1, $2, $3, $4)",
        [(notification.uid, channel.value, origin.request_id, origin.traceparent) for channel in channels],
    )


async def take(tx: Connection, channel: Channel) -> OutgoingMessage | None:
    """Takes the message on a channel that has been due for longest, for LEASE. Returns None if none is due."""
    row = await tx.fetchrow(
        """
        UPDATE outgoing_messages SET attempts = attempts + 1, due_time = now() + $1::interval
        WHERE (notification_uid, channel) = (
            SELECT notification_uid, channel FROM outgoing_messages
            WHERE channel = $2 AND due_time <= now() ORDER BY due_time LIMIT 1 FOR UPDATE SKIP LOCKED
        )
        RETURNING notification_uid, attempts, request_id, traceparent
        """,
        LEASE,
        channel.value,
    )
    if row is None:
        return None
    notification = await notifications.find(tx, row["notification_uid"])
    assert notification is not None, "a message is deleted with its notification"
    return OutgoingMessage(notification, channel, row["attempts"], Origin(row["request_id"], row["traceparent"]))


async def postpone(tx: Connection, message: OutgoingMessage, pause_s: float) -> None:
    """Makes a message due again after a pause."""
    await tx.execute(
        "UPDATE outgoing_messages SET due_time = now() + $3 WHERE (notification_uid, channel) = ($1, $2)",
        message.notification.uid,
        message.channel.value,
        timedelta(seconds=pause_s),
    )


async def remove(tx: Connection, message: OutgoingMessage) -> None:
    """Removes a message that is sent or given up."""
    await tx.execute(
        "DELETE FROM outgoing_messages WHERE (notification_uid, channel) = ($1, $2)",
        message.notification.uid,
        message.channel.value,
    )
