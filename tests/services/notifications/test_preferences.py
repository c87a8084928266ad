"""Preferences and phone numbers over a real channel, with a real PostgreSQL and the sandbox of SMS."""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from meshwright.notifications.v1.notifications_pb import Channel, NotificationKind
from meshwright.notifications.v1.preferences_grpc import NotificationPreferencesServiceClient
from meshwright.notifications.v1.preferences_pb import (
    GetNotificationPreferencesRequest,
    KindPreference,
    NotificationPreferences,
    SendPhoneCodeRequest,
    UpdateNotificationPreferencesRequest,
    VerifyPhoneNumberRequest,
)
from protobuf.wkt import FieldMask

from mesh.database import Database
from mesh.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from services.notifications.consumers.erasure import ErasureConsumers
from services.notifications.domain import notification as domain
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.notification import Kind, Notification
from services.notifications.domain.phone_code import ATTEMPTS_MAX, CODES_MAX
from services.notifications.handlers.preferences import PreferencesHandlers
from services.notifications.letters import Letters
from services.notifications.notifier import Notifier
from services.notifications.senders.channel import Undeliverable
from services.notifications.senders.sms import FileSmsGateway, SmsSender
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving
from tests.services.notifications.deletion import deletion

HASHES = KeyedHash("key of the tests")
NAME = "users/me/notificationPreferences"
NUMBER = "+4930123456"
CANCELLED = NotificationKind.ORDER_CANCELLED


@dataclass
class Service:
    """The running service, and the folder of the sandbox."""

    client: NotificationPreferencesServiceClient
    database: Database
    issuer: Issuer
    file: Path

    @contextlib.contextmanager
    def acting_as(self, user: str) -> Iterator[None]:
        """Makes calls as a user."""
        with acting_with(self.issuer.token(user, "profile")):
            yield

    async def get(self) -> NotificationPreferences:
        """Returns the caller's preferences."""
        return await self.client.get_notification_preferences(GetNotificationPreferencesRequest(name=NAME))

    async def choose(self, *channels: Channel, etag: str = "") -> NotificationPreferences:
        """Chooses the channels for cancelled orders."""
        kinds = [KindPreference(kind=CANCELLED, channels=list(channels))]
        wanted = NotificationPreferences(name=NAME, kinds=kinds, etag=etag)
        request = UpdateNotificationPreferencesRequest(
            notification_preferences=wanted, update_mask=FieldMask(paths=["kinds"])
        )
        return await self.client.update_notification_preferences(request)

    async def set_number(self, number: str) -> NotificationPreferences:
        """Updates the phone number."""
        request = UpdateNotificationPreferencesRequest(
            notification_preferences=NotificationPreferences(name=NAME, phone_number=number),
            update_mask=FieldMask(paths=["phone_number"]),
        )
        return await self.client.update_notification_preferences(request)

    async def send_code(self, number: str = NUMBER) -> None:
        """Has a code sent."""
        await self.client.send_phone_code(SendPhoneCodeRequest(name=NAME, phone_number=number))

    async def verify(self, code: str) -> NotificationPreferences:
        """Enters a code."""
        return await self.client.verify_phone_number(VerifyPhoneNumberRequest(name=NAME, code=code))

    def messages(self) -> list[dict[str, str]]:
        """Returns the messages in the sandbox."""
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def last_code(self) -> str:
        """Returns the code in the last message."""
        found = re.search(r"[0-9]{6}", self.messages()[-1]["text"])
        assert found is not None
        return found[0]

    async def notify(self, user: str = "users/ada") -> list[tuple[object, ...]]:
        """Notifies a user of a cancelled order; returns the stored messages."""
        uid = uuid4()
        async with self.database.transaction() as tx:
            words = {"number": "1", "lines": "", "total": "", "why": ""}
            await Notifier(Letters(), HASHES).notify(tx, uid, user, Kind.ORDER_CANCELLED, **words)
            rows = await tx.fetch("SELECT in_app, email_state, sms_state FROM notifications WHERE uid = $1", uid)
            waiting = await tx.fetch("SELECT channel FROM outgoing_messages WHERE notification_uid = $1", uid)
        states = [row["email_state"] for row in rows] + [row["sms_state"] for row in rows]
        assert len(waiting) == sum(state is not None for state in states)
        return [tuple(row) for row in rows]


@pytest.fixture
async def service(open_database: Callable[..., Awaitable[Database]], tmp_path: Path) -> AsyncIterator[Service]:
    """Starts the service."""
    database, issuer, file = await open_database("notifications"), Issuer(), tmp_path / "sms" / "messages.jsonl"
    handlers = PreferencesHandlers(database, HASHES, FileSmsGateway(file))
    async with serving(issuer, handlers) as port, channel_to(port) as channel:
        yield Service(NotificationPreferencesServiceClient(channel), database, issuer, file)


@pytest.fixture
def ada(service: Service) -> Iterator[None]:
    """Calls are made as Ada."""
    with service.acting_as("users/ada"):
        yield


@pytest.mark.usefixtures("ada")
async def test_without_a_choice_there_are_defaults(service: Service) -> None:
    """The app and mail; the name is the caller's own."""
    preferences = await service.get()
    assert preferences.name == "users/ada/notificationPreferences"
    assert {kind.kind: kind.channels for kind in preferences.kinds}[CANCELLED] == [Channel.EMAIL, Channel.IN_APP]
    assert (preferences.phone_number, preferences.update_time) == ("", None)
    assert await service.notify() == [(True, "pending", None)]


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    ("channels", "stored"),
    [
        ([Channel.IN_APP], [(True, None, None)]),
        ([Channel.EMAIL], [(False, "pending", None)]),
        ([], []),
        ([Channel.SMS], []),
        ([Channel.SMS, Channel.EMAIL], [(False, "pending", None)]),
    ],
)
async def test_a_choice_decides_on_the_channels(
    service: Service, channels: list[Channel], stored: list[tuple[object, ...]]
) -> None:
    """Without a phone number there is no SMS, and without a channel there is nothing."""
    await service.choose(*channels)
    assert await service.notify() == stored
    assert await service.notify("users/bob") == [(True, "pending", None)]


@pytest.mark.usefixtures("ada")
async def test_a_stale_etag_changes_nothing(service: Service) -> None:
    """Nor does an update without a change make a version."""
    chosen = await service.choose(Channel.EMAIL, etag="0")
    assert chosen.etag == "1"
    assert (await service.choose(Channel.EMAIL)).etag == "1"
    with pytest.raises(Aborted):
        await service.choose(Channel.IN_APP, etag="0")


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "kinds",
    [
        [KindPreference(kind=NotificationKind.WELCOME)],
        [KindPreference(kind=CANCELLED), KindPreference(kind=CANCELLED)],
        [KindPreference(kind=CANCELLED, channels=[Channel.EMAIL, Channel.EMAIL])],
        [KindPreference(kind=CANCELLED, channels=[Channel.UNSPECIFIED])],
    ],
)
async def test_a_choice_that_there_is_not_is_rejected(service: Service, kinds: list[KindPreference]) -> None:
    """Mails about the account can't be turned off, and no kind or channel is named twice."""
    wanted = NotificationPreferences(name=NAME, kinds=kinds)
    with pytest.raises(InvalidArgument):
        await service.client.update_notification_preferences(
            UpdateNotificationPreferencesRequest(notification_preferences=wanted)
        )


@pytest.mark.usefixtures("ada")
async def test_a_verified_number_gets_sms(service: Service) -> None:
    """Once the code is entered, the choice of SMS has its effect, until the number is cleared."""
    await service.choose(Channel.SMS)
    await service.send_code()
    assert service.messages()[-1]["to"] == NUMBER
    assert (await service.get()).phone_number == ""
    verified = await service.verify(service.last_code())
    assert verified.phone_number == NUMBER
    assert await service.notify() == [(False, None, "pending")]
    sender = SmsSender(service.database, FileSmsGateway(service.file))
    notification = Notification(
        uuid4(), "users/ada", Kind.ORDER_CANCELLED, "Your order 1 is cancelled", datetime.now(UTC)
    )
    await sender.send(notification)
    message = service.messages()[-1]
    assert (message["to"], message["id"]) == (NUMBER, str(notification.uid))
    assert message["text"] == "Meshwright: Your order 1 is cancelled"
    assert (await service.set_number("")).phone_number == ""
    assert await service.notify() == []
    with pytest.raises(Undeliverable):
        await sender.send(notification)


@pytest.mark.usefixtures("ada")
async def test_a_number_that_nobody_verified_is_rejected(service: Service) -> None:
    """An update can clear it, and leave it as it is."""
    with pytest.raises(InvalidArgument):
        await service.set_number(NUMBER)
    await service.send_code()
    await service.verify(service.last_code())
    assert (await service.set_number(NUMBER)).phone_number == NUMBER


@pytest.mark.usefixtures("ada")
async def test_a_code_cannot_be_guessed(service: Service) -> None:
    """After some wrong ones the right one is rejected too, as it is when it was used or has expired."""
    await service.send_code()
    code = service.last_code()
    wrong = f"{(int(code) + 1) % 10**6:06}"
    for _ in range(ATTEMPTS_MAX):
        with pytest.raises(InvalidArgument):
            await service.verify(wrong)
    with pytest.raises(InvalidArgument):
        await service.verify(code)
    await service.send_code()
    code = service.last_code()
    async with service.database.transaction() as tx:
        await tx.execute("UPDATE phone_codes SET expire_time = now()")
    with pytest.raises(InvalidArgument):
        await service.verify(code)
    await service.send_code()
    code = service.last_code()
    await service.verify(code)
    with pytest.raises(InvalidArgument):
        await service.verify(code)


async def test_a_code_is_for_its_user(service: Service) -> None:
    """Another user can't verify a number with the code."""
    with service.acting_as("users/ada"):
        await service.send_code()
    code = service.last_code()
    with service.acting_as("users/eve"):
        with pytest.raises(InvalidArgument):
            await service.verify(code)
        await service.send_code("+4930999999")
    with service.acting_as("users/ada"):
        assert (await service.verify(code)).phone_number == NUMBER


async def test_codes_are_limited_by_user_and_by_number(service: Service) -> None:
    """Neither can one user send any number of SMS, nor can many users send them to one number."""
    with service.acting_as("users/ada"):
        for number in range(CODES_MAX):
            await service.send_code(f"{NUMBER}{number}")
        with pytest.raises(ResourceExhausted):
            await service.send_code(f"{NUMBER}9")
    for user in range(CODES_MAX):
        with service.acting_as(f"users/{user}"):
            await service.send_code()
    with service.acting_as("users/eve"):
        with pytest.raises(ResourceExhausted):
            await service.send_code()
        async with service.database.transaction() as tx:
            await tx.execute("UPDATE phone_code_counts SET expire_time = now()")
        await service.send_code()
    assert len(service.messages()) == 2 * CODES_MAX + 1


@pytest.mark.usefixtures("ada")
async def test_preferences_of_others_do_not_exist(service: Service) -> None:
    """By any name but one's own."""
    own = GetNotificationPreferencesRequest(name="users/ada/notificationPreferences")
    assert await service.client.get_notification_preferences(own) == await service.get()
    for user in ("users/bob", "users/ad"):
        name = f"{user}/notificationPreferences"
        with pytest.raises(NotFound):
            await service.client.get_notification_preferences(GetNotificationPreferencesRequest(name=name))
        with pytest.raises(NotFound):
            await service.client.send_phone_code(SendPhoneCodeRequest(name=name, phone_number=NUMBER))
        with pytest.raises(NotFound):
            await service.client.verify_phone_number(VerifyPhoneNumberRequest(name=name, code="000000"))
        with pytest.raises(NotFound):
            await service.client.update_notification_preferences(
                UpdateNotificationPreferencesRequest(notification_preferences=NotificationPreferences(name=name))
            )


async def test_without_a_gateway_there_is_no_sms(service: Service) -> None:
    """A code can't be sent, and a waiting message is undeliverable."""
    handlers = PreferencesHandlers(service.database, HASHES, None)
    async with serving(service.issuer, handlers) as port, channel_to(port) as channel:
        client = NotificationPreferencesServiceClient(channel)
        with service.acting_as("users/ada"), pytest.raises(FailedPrecondition):
            await client.send_phone_code(SendPhoneCodeRequest(name=NAME, phone_number=NUMBER))
    with service.acting_as("users/ada"):
        await service.send_code()
        await service.verify(service.last_code())
    notification = Notification(uuid4(), "users/ada", domain.Kind.WELCOME, "Hi", datetime.now(UTC))
    with pytest.raises(Undeliverable):
        await SmsSender(service.database, None).send(notification)


@pytest.mark.usefixtures("ada")
async def test_a_gateway_that_fails_is_unavailable(service: Service) -> None:
    """The code counts nevertheless: failures do not allow more of them."""
    service.file.parent.mkdir()
    service.file.mkdir()
    for _ in range(CODES_MAX):
        with pytest.raises(Unavailable):
            await service.send_code()
    with pytest.raises(ResourceExhausted):
        await service.send_code()


async def test_nothing_is_stored_for_a_caller_who_was_erased(service: Service) -> None:
    """Neither preferences nor a phone number, although the token is still valid."""
    async with service.database.transaction() as tx:
        await ErasureConsumers(HASHES).user_deleted(tx, deletion("users/ada"))
    with service.acting_as("users/ada"):
        for call in (service.choose(Channel.EMAIL), service.send_code()):
            with pytest.raises(Unauthenticated) as caught:
                await call
            assert caught.value.reason == "TOKEN_REVOKED"
    async with service.database.transaction() as tx:
        tables = ("preferences", "phone_codes", "phone_code_counts")
        assert [await tx.fetchval(f"SELECT count(*) FROM {table}") for table in tables] == [0, 0, 0]
