"""NotificationsService over a real channel and a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from meshwright.notifications.v1.notifications_grpc import NotificationsServiceClient
from meshwright.notifications.v1.notifications_pb import (
    Channel,
    ChannelDelivery,
    DeliveryState,
    GetNotificationRequest,
    ListNotificationsRequest,
    MarkNotificationReadRequest,
    Notification,
    NotificationKind,
    WatchNotificationsRequest,
)
from protobuf.wkt import Timestamp

from mesh.database import Connection, Database
from mesh.errors import InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from services.notifications.domain import notification as domain
from services.notifications.domain.notification import Kind
from services.notifications.handlers.notifications import NotificationsHandlers
from services.notifications.storage import notifications as storage
from services.notifications.storage import user_lock
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


async def insert(tx: Connection, notification: domain.Notification) -> bool:
    """Inserts a notification under the lock of its user, as the service does."""
    await user_lock.share(tx, notification.user)
    return await storage.insert(tx, notification)


@dataclass
class Service:
    """A running notifications service, with its callers."""

    client: NotificationsServiceClient
    database: Database
    issuer: Issuer

    async def remember(self, user: str, subject: str, at: datetime = NOW, *, text: str = "") -> domain.Notification:
        """Inserts a notification."""
        sent = {domain.Channel.EMAIL: domain.DeliveryState.SENT}
        notification = domain.Notification(uuid4(), user, Kind.WELCOME, subject, at, text, deliveries=sent)
        async with self.database.transaction() as tx:
            assert await insert(tx, notification)
        return notification

    async def page(self, size: int = 50, token: str = "", *, user: str = "users/ada") -> tuple[list[Notification], str]:
        """Returns a page of a user's notifications, and the token of the next one."""
        with acting_with(self.issuer.token(user, "profile")):
            request = ListNotificationsRequest(page_size=size, page_token=token)
            response = await self.client.list_notifications(request)
        return response.notifications, response.next_page_token


@pytest.fixture
async def service(open_database: Callable[..., Awaitable[Database]]) -> AsyncIterator[Service]:
    """Starts a notifications service without notifications."""
    database, issuer = await open_database("notifications"), Issuer()
    async with (
        serving(issuer, NotificationsHandlers(database, watch_every_s=0.05)) as port,
        channel_to(port) as channel,
    ):
        yield Service(NotificationsServiceClient(channel), database, issuer)


async def test_users_see_what_was_sent_to_them(service: Service) -> None:
    """Every field is returned; notifications of others are not."""
    remembered = await service.remember("users/ada", "Welcome 🌱")
    await service.remember("users/eve", "Welcome")
    expected = Notification(
        name=f"notifications/{remembered.uid}",
        user="users/ada",
        subject="Welcome 🌱",
        send_time=Timestamp.from_datetime(NOW),
        state=DeliveryState.SENT,
        kind=NotificationKind.WELCOME,
        deliveries=[ChannelDelivery(channel=Channel.EMAIL, state=DeliveryState.SENT)],
    )
    assert await service.page() == ([expected], "")


async def test_pages_are_the_newest_first(service: Service) -> None:
    """Small pages have all notifications, some of the same instant, once each and in one order."""
    sent = [await service.remember("users/ada", str(n), NOW + timedelta(minutes=n // 2)) for n in range(5)]
    names, token = [], ""
    while True:
        page, token = await service.page(2, token)
        names += [notification.name for notification in page]
        if not token:
            break
    newest_first = sorted(sent, key=lambda notification: (notification.send_time, notification.uid), reverse=True)
    assert names == [notification.name for notification in newest_first]


async def test_a_page_with_long_texts_fits_into_a_response(service: Service) -> None:
    """It has fewer notifications than requested, and the next pages have the others: those of orders of a hundred lines
    take more than a response may have.
    """
    lines = f"  1 x {'🌱' * 200}: 19.99 EUR\n" * 100
    sent = [await service.remember("users/ada", str(n), NOW - timedelta(minutes=n), text=lines) for n in range(60)]
    first, token = await service.page(1000)
    second, end = await service.page(1000, token)
    assert [each.name for each in (*first, *second)] == [each.name for each in sent]
    assert end == ""


async def test_a_page_token_is_for_its_user(service: Service) -> None:
    """The token of another user is rejected."""
    for subject in "ab":
        await service.remember("users/ada", subject)
    _, token = await service.page(1)
    with pytest.raises(InvalidArgument) as caught:
        await service.page(1, token, user="users/eve")
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


async def test_nobody_sees_notifications_without_the_right(service: Service) -> None:
    """A call needs a token with the scope profile."""
    with pytest.raises(Unauthenticated):
        await service.client.list_notifications(ListNotificationsRequest())
    with acting_with(service.issuer.token("users/ada", "orders.read")), pytest.raises(PermissionDenied):
        await service.client.list_notifications(ListNotificationsRequest())


async def test_a_notification_is_read_once(service: Service) -> None:
    """The time at which it was read first stays, and it is no longer listed as unread."""
    first, second = await service.remember("users/ada", "First"), await service.remember("users/ada", "Second")
    with acting_with(service.issuer.token("users/ada", "profile")):
        read = await service.client.mark_notification_read(MarkNotificationReadRequest(name=first.name))
        assert read.read_time is not None
        assert await service.client.mark_notification_read(MarkNotificationReadRequest(name=first.name)) == read
        assert await service.client.get_notification(GetNotificationRequest(name=first.name)) == read
        listed = await service.client.list_notifications(ListNotificationsRequest(unread_only=True))
    assert [notification.name for notification in listed.notifications] == [second.name]


async def test_notifications_of_others_do_not_exist(service: Service) -> None:
    """Notifications of other users are neither returned nor marked."""
    mine = await service.remember("users/ada", "Mine")
    with acting_with(service.issuer.token("users/eve", "profile")):
        for name in (mine.name, f"notifications/{uuid4()}", "notifications/7"):
            with pytest.raises(NotFound):
                await service.client.get_notification(GetNotificationRequest(name=name))
            with pytest.raises(NotFound):
                await service.client.mark_notification_read(MarkNotificationReadRequest(name=name))
    listed, _ = await service.page()
    assert [notification.read_time for notification in listed] == [None]


async def test_a_stream_resumes_after_its_token(service: Service) -> None:
    """It reports what there is and what changes, and with a token only what came after it; nothing of others."""
    first = await service.remember("users/ada", "First")
    await service.remember("users/eve", "Hers")
    with acting_with(service.issuer.token("users/ada", "profile")):
        async with service.client.watch_notifications(WatchNotificationsRequest()) as responses:
            response = await anext(responses)
            assert response.notification is not None
            assert response.notification.name == first.name
            second = await service.remember("users/ada", "Second")
            assert (await anext(responses)).notification.name == second.name  # type: ignore[union-attr]
        await service.client.mark_notification_read(MarkNotificationReadRequest(name=first.name))
        request = WatchNotificationsRequest(resume_token=response.resume_token)
        async with service.client.watch_notifications(request) as responses:
            seen = [(await anext(responses)).notification for _ in range(2)]
    assert [(each.name, each.read_time is not None) for each in seen if each] == [
        (second.name, False),
        (first.name, True),
    ]


async def test_a_resume_token_is_for_its_user(service: Service) -> None:
    """The token of another user's stream is rejected."""
    await service.remember("users/ada", "First")
    with acting_with(service.issuer.token("users/ada", "profile")):
        async with service.client.watch_notifications(WatchNotificationsRequest()) as responses:
            token = (await anext(responses)).resume_token
    with acting_with(service.issuer.token("users/eve", "profile")), pytest.raises(InvalidArgument):
        async with service.client.watch_notifications(WatchNotificationsRequest(resume_token=token)) as responses:
            await anext(responses)


async def test_a_stream_waits_for_changes_that_are_committed_late(service: Service) -> None:
    """One that has an earlier number, and is committed after a later one, is reported nevertheless."""
    late = domain.Notification(uuid4(), "users/ada", Kind.WELCOME, "Late", NOW)
    with acting_with(service.issuer.token("users/ada", "profile")):
        async with service.client.watch_notifications(WatchNotificationsRequest()) as responses:
            async with service.database.transaction() as tx:
                await insert(tx, late)
                early = await service.remember("users/ada", "Early")
                await asyncio.sleep(0.2)
            reported = [(await anext(responses)).notification for _ in range(2)]
    assert [each.name for each in reported if each] == [late.name, early.name]


async def test_writers_of_several_users_do_not_wait_for_each_other(service: Service) -> None:
    """Transactions that change notifications of the same users in another order both commit."""
    first, second = uuid4(), uuid4()

    def of(user: str, uid: UUID) -> domain.Notification:
        return domain.Notification(uid, user, Kind.WELCOME, "Hi", NOW)

    async with service.database.transaction() as one, service.database.transaction() as other:
        await insert(one, of("users/ada", first))
        await insert(other, of("users/bob", second))
        await insert(one, of("users/bob", uuid4()))
        await insert(other, of("users/ada", uuid4()))
    assert len((await service.page())[0]) == 2


async def test_a_purge_does_not_wait_for_an_erasure(service: Service) -> None:
    """The erasure of the user may wait for another one of the notifications, which the purge deletes meanwhile."""
    old = datetime.now(UTC) - storage.KEPT_FOR - timedelta(days=1)
    notifications = [await service.remember("users/ada", "Old", old) for _ in range(3)]
    async with service.database.transaction() as erasing:
        await erasing.execute("DELETE FROM notifications WHERE uid = $1", notifications[1].uid)
        async with service.database.transaction() as tx:
            assert await storage.purge(tx, 3) == 2
