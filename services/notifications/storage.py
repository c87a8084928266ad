"""The SQL of notifications. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from mesh.database import Connection
from mesh.pagination import Page
from mesh.position import Key
from services.notifications.domain import Notification

# The parts of the sort key of list_notifications(): send_time, uid.
KEY_TYPES: tuple[type[Key], ...] = (datetime, UUID)

MAIL_EVERY = timedelta(days=1)
PURGED_PER_CALL_MAX = 2  # more than the one row that a mail may add, so that the table stays bounded


async def insert(tx: Connection, notification: Notification) -> bool:
    """Inserts a notification; returns False if it exists already."""
    query = """
        INSERT INTO notifications (uid, user_name, subject, send_time) VALUES ($1, $2, $3, $4)
        ON CONFLICT (uid) DO NOTHING RETURNING true
    """
    values = (notification.uid, notification.user, notification.subject, notification.send_time)
    return await tx.fetchval(query, *values) is not None


async def mark_undeliverable(tx: Connection, notification: Notification) -> None:
    """Marks a notification as not sent, permanently."""
    await tx.execute("UPDATE notifications SET undeliverable = true WHERE uid = $1", notification.uid)


async def claim_mail(tx: Connection, address_hash: bytes) -> bool:
    """Claims the one mail that an address may get in MAIL_EVERY; returns False if it had one. A concurrent transaction
    that claims it waits until this one ends.
    """
    await tx.execute(
        """
        DELETE FROM mailed_addresses WHERE address_hash IN (
            SELECT address_hash FROM mailed_addresses WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_CALL_MAX,
    )
    query = """
        INSERT INTO mailed_addresses AS mailed (address_hash, expire_time) VALUES ($1, now() + $2)
        ON CONFLICT (address_hash) DO UPDATE SET expire_time = excluded.expire_time WHERE mailed.expire_time <= now()
        RETURNING true
    """
    return await tx.fetchval(query, address_hash, MAIL_EVERY) is not None


async def delete_of(tx: Connection, user: str) -> None:
    """Deletes all notifications of a user."""
    await tx.execute("DELETE FROM notifications WHERE user_name = $1", user)


async def list_notifications(tx: Connection, user: str, page: Page) -> tuple[Sequence[Notification], str]:
    """Returns a page of the notifications of a user, the newest first, and the next page's token."""
    after = "AND (send_time, uid) < ($3, $4)" if page.after else ""
    query = f"""
        SELECT uid, user_name, subject, send_time, undeliverable FROM notifications
        WHERE user_name = $1 {after} ORDER BY send_time DESC, uid DESC LIMIT $2
    """
    rows = await tx.fetch(query, user, page.limit, *(page.after or ()))
    notifications = [
        Notification(row["uid"], row["user_name"], row["subject"], row["send_time"], row["undeliverable"])
        for row in rows
    ]
    return page.split(notifications, lambda notification: (notification.send_time, notification.uid))
