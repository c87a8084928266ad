"""The methods of NotificationsService."""

from meshwright.notifications.v1.notifications_grpc import NotificationsServiceBase
from meshwright.notifications.v1.notifications_pb import (
    DeliveryState,
    ListNotificationsRequest,
    ListNotificationsResponse,
)
from meshwright.notifications.v1.notifications_pb import Notification as NotificationMessage
from protobuf.wkt import Timestamp

from mesh.database import Database
from mesh.pagination import read_page
from mesh.rpc import Call
from services.notifications import storage
from services.notifications.domain import Notification


class NotificationsHandlers(NotificationsServiceBase):
    """The handlers of NotificationsService."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_notifications(self, request: ListNotificationsRequest, call: Call) -> ListNotificationsResponse:
        """Lists the notifications of the caller."""
        user = call.caller.subject
        page = read_page(request.page_size, request.page_token, query=(user,), key_types=storage.KEY_TYPES)
        async with self._database.transaction() as tx:
            notifications, next_page_token = await storage.list_notifications(tx, user, page)
        return ListNotificationsResponse(
            notifications=[_message(notification) for notification in notifications], next_page_token=next_page_token
        )


def _message(notification: Notification) -> NotificationMessage:
    return NotificationMessage(
        name=notification.name,
        user=notification.user,
        subject=notification.subject,
        send_time=Timestamp.from_datetime(notification.send_time),
        state=DeliveryState.UNDELIVERABLE if notification.undeliverable else DeliveryState.SENT,
    )
