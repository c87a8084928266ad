"""Notifications in PostgreSQL. Every function works inside the transaction it is given."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from mesh.database import Connection
from mesh.pagination import Key, Page
from services.notifications.domain import Notification

# The parts of the sort key of list_notifications(): send_time, uid.
KEY_TYPES: tuple[type[Key], ...] = (datetime, UUID)


async def insert(tx: Connection, notification: Notification) -> bool:
    """Writes a notification; returns False if it was there."""
    query = """
        INSERT INTO notifications (uid, user_name, subject, send_time) VALUES ($1, $2, $3, $4)
        ON CONFLICT (uid) DO NOTHING RETURNING true
    """
    values = (notification.uid, notification.user, notification.subject, notification.send_time)
    return await tx.fetchval(query, *values) is not None


async def delete_of(tx: Connection, user: str) -> None:
    """Deletes all notifications of a user."""
    await tx.execute("DELETE FROM notifications WHERE user_name = $1", user)


async def list_notifications(tx: Connection, user: str, page: Page) -> tuple[Sequence[Notification], str]:
    """A page of what was sent to a user, the newest first, and the next page's token."""
    after = "AND (send_time, uid) < ($3, $4)" if page.after else ""
    query = f"""
        SELECT uid, user_name, subject, send_time FROM notifications
        WHERE user_name = $1 {after} ORDER BY send_time DESC, uid DESC LIMIT $2
    """
    rows = await tx.fetch(query, user, page.limit, *(page.after or ()))
    notifications = [Notification(row["uid"], row["user_name"], row["subject"], row["send_time"]) for row in rows]
    return page.split(notifications, lambda notification: (notification.send_time, notification.uid))
