"""The table of notifications."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from mesh.database import Connection, Session
from mesh.erased_users import erase_in_parts
from mesh.pagination import Page
from mesh.position import Key
from services.notifications.domain.notification import OUTGOING, Channel, DeliveryState, Kind, Notification
from services.notifications.storage import user_lock

LIST_KEY_TYPES: Final[tuple[type[Key], ...]] = (datetime, UUID)
"""The sort key of list_notifications(): send_time, uid."""

CHANGE_KEY_TYPES: Final[tuple[type[Key], ...]] = (int,)
"""The position of a change."""

PAGE_TEXT_BYTES_MAX: Final = 3 * 1024 * 1024
"""The most bytes of texts in a page, which then has fewer notifications than requested: one about an order of a hundred
lines has up to 85 kB, and a response may have 4 MiB.
"""

CHANGES_MAX: Final = 10
"""The most notifications that a stream holds while its client does not read."""

KEPT_FOR: Final = timedelta(days=90)

_COLUMNS: Final = "uid, user_name, kind, subject, text, resource, send_time, read_time, email_state, sms_state"


async def insert(connection: Connection | Session, notification: Notification, *, in_app: bool = True) -> bool:
    """Inserts a notification under the lock of its user (user_lock.share); returns False if it exists already. Only
    those `in_app` are listed and streamed.
    """
    query = f"""
        INSERT INTO notifications ({_COLUMNS}, in_app) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (uid) DO NOTHING RETURNING true
    """
    return await connection.fetchval(query, *_values(notification), in_app) is not None


def _values(notification: Notification) -> tuple[object, ...]:
    return (
        notification.uid,
        notification.user,
        notification.kind.value,
        notification.subject,
        notification.text,
        notification.resource,
        notification.send_time,
        notification.read_time,
        *(notification.deliveries.get(channel) for channel in OUTGOING),
    )


async def mark_delivered(tx: Connection, notification: Notification, channel: Channel, state: DeliveryState) -> None:
    """Records the result of delivering a notification on a channel."""
    await user_lock.share(tx, notification.user)
    query = f"""
        UPDATE notifications SET {_state_column(channel)} = $2, change = nextval('notifications_change') WHERE uid = $1
    """
    await tx.execute(query, notification.uid, state.value)


async def mark_read(tx: Connection, notification: Notification) -> None:
    """Records that a notification was read. find_in_app(…, lock=True) must have locked its row."""
    await user_lock.share(tx, notification.user)
    await tx.execute(
        "UPDATE notifications SET read_time = $2, change = nextval('notifications_change') WHERE uid = $1",
        notification.uid,
        notification.read_time,
    )


async def find(tx: Connection, uid: UUID) -> Notification | None:
    """Returns a notification, None if there is none."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM notifications WHERE uid = $1", uid)
    return None if row is None else _notification(row)


async def find_in_app(tx: Connection, uid: UUID, *, lock: bool = False) -> Notification | None:
    """Returns a notification that users see in the app, None if there is none; with `lock`, locks its row until the
    transaction ends.
    """
    query = f"SELECT {_COLUMNS} FROM notifications WHERE uid = $1 AND in_app {'FOR UPDATE' if lock else ''}"
    row = await tx.fetchrow(query, uid)
    return None if row is None else _notification(row)


async def delete_of(tx: Connection, user: str) -> None:
    """Deletes all notifications of a user, with the messages that wait to be sent for them."""
    await erase_in_parts(
        tx,
        user,
        find="SELECT uid FROM notifications WHERE user_name = $1",
        erase="DELETE FROM notifications WHERE uid = ANY($1::uuid[])",
    )


async def purge(tx: Connection, limit: int) -> int:
    """Deletes up to `limit` notifications that are older than KEPT_FOR; returns their number. Waits for no erasure,
    which deletes them in another order.
    """
    query = """
        WITH purged AS (
            DELETE FROM notifications WHERE uid IN (
                SELECT uid FROM notifications WHERE send_time < now() - $1::interval ORDER BY send_time LIMIT $2
                FOR UPDATE SKIP LOCKED
            ) RETURNING uid
        )
        SELECT count(*) FROM purged
    """
    purged: int = await tx.fetchval(query, KEPT_FOR, limit)
    return purged


async def list_notifications(
    tx: Connection, user: str, page: Page, *, unread: bool = False
) -> tuple[Sequence[Notification], str]:
    """Returns a page of the notifications of a user, the newest first, and the next page's token. PostgreSQL sends only
    those that fit into a response, and one more, by which split() finds out that there is a next page.
    """
    conditions = ["user_name = $1", "in_app"]
    if unread:
        conditions.append("read_time IS NULL")
    if page.after:
        conditions.append("(send_time, uid) < ($3, $4)")
    order = "send_time DESC, uid DESC"
    query = f"""
        SELECT * FROM (
            SELECT *, sum(octet_length(text)) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS text_bytes_so_far
            FROM (
                SELECT {_COLUMNS} FROM notifications WHERE {" AND ".join(conditions)} ORDER BY {order} LIMIT $2
            ) AS page
        ) AS measured
        WHERE text_bytes_so_far - octet_length(text) <= {PAGE_TEXT_BYTES_MAX} ORDER BY {order}
    """
    rows = await tx.fetch(query, user, page.limit, *(page.after or ()))
    fitting = sum(1 for row in rows if row["text_bytes_so_far"] <= PAGE_TEXT_BYTES_MAX)
    given, next_page_token = replace(page, size=min(page.size, fitting)).split(
        rows, lambda row: (row["send_time"], row["uid"])
    )
    return [_notification(row) for row in given], next_page_token


async def list_changes(tx: Connection, user: str, after: Sequence[Key] | None) -> Sequence[tuple[int, Notification]]:
    """Returns the notifications of a user that changed after a position, with their positions, in that order. Returns
    none while a transaction changes some.

    Changes are numbered in the order of statements, but become visible in the order of commits. Without a transaction
    in between, all that have a number are visible, so that a stream which has read up to a number misses no smaller
    one.
    """
    if not await user_lock.try_to_take(tx, user):
        return []
    query = f"""
        SELECT {_COLUMNS}, change FROM notifications
        WHERE user_name = $1 AND in_app AND change > $2 ORDER BY change LIMIT $3
    """
    rows = await tx.fetch(query, user, after[0] if after else 0, CHANGES_MAX)
    return [(row["change"], _notification(row)) for row in rows]


def _notification(row: asyncpg.Record) -> Notification:
    return Notification(
        uid=row["uid"],
        user=row["user_name"],
        kind=Kind(row["kind"]),
        subject=row["subject"],
        send_time=row["send_time"],
        text=row["text"],
        resource=row["resource"],
        deliveries=_deliveries(row),
        read_time=row["read_time"],
    )


def _deliveries(row: asyncpg.Record) -> Mapping[Channel, DeliveryState]:
    states = {channel: row[_state_column(channel)] for channel in OUTGOING}
    return {channel: DeliveryState(state) for channel, state in states.items() if state is not None}


def _state_column(channel: Channel) -> str:
    return f"{channel.value}_state"
