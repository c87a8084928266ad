"""The methods of NotificationsService."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

from meshwright.notifications.v1.notifications_grpc import NotificationsServiceBase
from meshwright.notifications.v1.notifications_pb import Channel as ChannelMessage
from meshwright.notifications.v1.notifications_pb import (
    ChannelDelivery,
    GetNotificationRequest,
    ListNotificationsRequest,
    ListNotificationsResponse,
    MarkNotificationReadRequest,
    NotificationKind,
    WatchNotificationsRequest,
    WatchNotificationsResponse,
)
from meshwright.notifications.v1.notifications_pb import DeliveryState as DeliveryStateMessage
from meshwright.notifications.v1.notifications_pb import Notification as NotificationMessage
from protobuf.wkt import Timestamp

from mesh.database import Database
from mesh.pagination import read_page
from mesh.resume import read_resume_token
from mesh.rpc import Call
from services.notifications.domain.notification import Channel, Notification, received_by, uid_of
from services.notifications.storage import notifications, user_lock

WATCH_EVERY_S: Final = 1.0


class NotificationsHandlers(NotificationsServiceBase):
    """The handlers of NotificationsService."""

    def __init__(self, database: Database, *, watch_every_s: float = WATCH_EVERY_S) -> None:
        self._database = database
        self._watch_every_s = watch_every_s

    async def get_notification(self, request: GetNotificationRequest, call: Call) -> NotificationMessage:
        """Returns a notification of the caller."""
        uid = uid_of(request.name)
        async with self._database.transaction() as tx:
            notification = await notifications.find_in_app(tx, uid)
        return notification_message(received_by(call.caller.subject, notification))

    async def list_notifications(self, request: ListNotificationsRequest, call: Call) -> ListNotificationsResponse:
        """Lists the notifications of the caller."""
        user, unread = call.caller.subject, request.unread_only
        query = (user, "unread") if unread else (user,)
        page = read_page(request.page_size, request.page_token, query=query, key_types=notifications.LIST_KEY_TYPES)
        async with self._database.transaction() as tx:
            listed, next_page_token = await notifications.list_notifications(tx, user, page, unread=unread)
        return ListNotificationsResponse(
            notifications=[notification_message(notification) for notification in listed],
            next_page_token=next_page_token,
        )

    async def mark_notification_read(self, request: MarkNotificationReadRequest, call: Call) -> NotificationMessage:
        """Marks a notification of the caller as read, unless it is."""
        user, uid = call.caller.subject, uid_of(request.name)
        async with self._database.transaction() as tx:
            await user_lock.share(tx, user)
            notification = received_by(user, await notifications.find_in_app(tx, uid, lock=True))
            read = notification.read(datetime.now(UTC))
            if read is not notification:
                await notifications.mark_read(tx, read)
        return notification_message(read)

    async def watch_notifications(
        self, request: WatchNotificationsRequest, call: Call
    ) -> AsyncIterator[WatchNotificationsResponse]:
        """Reads the changes after the last one that was sent, again and again: any process can continue a stream."""
        user = call.caller.subject
        resume = read_resume_token(
            request.resume_token, query=("watch", user), key_types=notifications.CHANGE_KEY_TYPES
        )
        after = resume.after
        while True:
            async with self._database.transaction() as tx:
                changes = await notifications.list_changes(tx, user, after)
            for position, changed in changes:
                after = (position,)
                yield WatchNotificationsResponse(
                    notification=notification_message(changed), resume_token=resume.token(position)
                )
            if not changes:
                await asyncio.sleep(self._watch_every_s)


def notification_message(notification: Notification) -> NotificationMessage:
    """Returns a notification as a message."""
    email = notification.deliveries.get(Channel.EMAIL)
    return NotificationMessage(
        name=notification.name,
        user=notification.user,
        subject=notification.subject,
        send_time=Timestamp.from_datetime(notification.send_time),
        state=DeliveryStateMessage.UNSPECIFIED if email is None else DeliveryStateMessage[email.name],
        kind=NotificationKind[notification.kind.name],
        text=notification.text,
        resource=notification.resource,
        read_time=None if notification.read_time is None else Timestamp.from_datetime(notification.read_time),
        deliveries=[
            ChannelDelivery(channel=ChannelMessage[channel.name], state=DeliveryStateMessage[state.name])
            for channel, state in notification.deliveries.items()
        ],
    )
