"""From an event on a real NATS, by an identity service over gRPC, to a mail over real SMTP and a row in PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import nats
import pytest
from meshwright.identity.v1.events_pb import (
    EmailChangeRequested,
    EmailConfirmationRequested,
    PasswordChanged,
    PasswordResetRequested,
    RegistrationRepeated,
    UserDeleted,
    UserRegistered,
)

from local.nats import Nats
from local.ports import free_port
from mesh.client import Channel
from mesh.database import Connection, Database
from mesh.errors import Unavailable
from mesh.events import Broker, Event, Inbox, connect, inbox_table
from mesh.events.envelope import Envelope
from mesh.events.nats.cloud_events import to_headers
from mesh.events.nats.provision import provision
from mesh.events.nats.stream import STREAM
from mesh.events.retries import Retries
from mesh.settings import DatabaseSettings
from services.notifications.clients import Users
from services.notifications.consumers.account import AccountConsumers
from services.notifications.consumers.erasure import ErasureConsumers
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.letters import Letters
from services.notifications.senders.mail import Mailer
from services.notifications.storage import user_lock
from tests.broker import ADMIN
from tests.given_token import GivenToken
from tests.issuer import Issuer
from tests.services.calls import serving
from tests.services.notifications.deletion import deletion
from tests.services.notifications.identity import IdentityStandIn
from tests.services.notifications.smtp import MailServer

SENDER = "Shop <shop@example.com>"
PATIENT = Retries(attempts_max=1000, pause_first_s=0.05, pause_max_s=0.1)
IMPATIENT = Retries(attempts_max=2, pause_first_s=0.02)


class DiedError(Exception):
    """The process has died."""


AccountEvent = (
    EmailChangeRequested
    | EmailConfirmationRequested
    | PasswordChanged
    | PasswordResetRequested
    | RegistrationRepeated
    | UserDeleted
    | UserRegistered
)


@dataclass
class Shop:
    """A running consumer of notifications and all that it needs."""

    nats_url: str
    broker: Broker
    database: Database
    identity: IdentityStandIn
    identity_port: int
    issuer: Issuer
    mail: MailServer
    consumers: AccountConsumers
    consumers_of: Callable[[Database], AccountConsumers]
    erasure: ErasureConsumers
    stack: AsyncExitStack

    async def consume(self, retries: Retries = PATIENT) -> None:
        """Begins to handle events, until the end of the test."""
        handlers = self.consumers.handlers() | self.erasure.handlers()
        inbox = Inbox(self.database, self.broker, service="notifications", handlers=handlers, retries=retries)
        await self.stack.enter_async_context(inbox)

    async def start_identity(self) -> None:
        """Starts the identity service."""
        await self.stack.enter_async_context(serving(self.issuer, self.identity.service, port=self.identity_port))

    async def publish_event(self, event: AccountEvent) -> Envelope:
        """Publishes an event of identity as its relay does."""
        envelope = enveloped(event.desc().type_name, event.user, event.to_binary())
        await self.publish(envelope)
        return envelope

    async def publish(self, envelope: Envelope) -> None:
        """Publishes an event, as soon as the broker is there."""
        async with asyncio.timeout(30):
            while True:
                with contextlib.suppress(Unavailable):
                    return await self.broker.publish(envelope)
                await asyncio.sleep(0.02)

    async def inbox(self) -> list[tuple[str, str]]:
        """The aggregate and the state of every event received, in order."""
        async with self.database.transaction() as tx:
            rows = await tx.fetch("SELECT aggregate, state FROM mesh.inbox ORDER BY sequence")
        return [(row["aggregate"], row["state"]) for row in rows]

    async def until(self, *expected: tuple[str, str]) -> None:
        """Waits until the inbox is so."""
        async with asyncio.timeout(30):
            while await self.inbox() != list(expected):
                await asyncio.sleep(0.02)

    async def until_tried(self, times: int = 1) -> None:
        """Waits until an event has been tried in vain."""
        async with asyncio.timeout(30):
            while not await self._tried(times):
                await asyncio.sleep(0.02)

    async def _tried(self, times: int) -> bool:
        async with self.database.transaction() as tx:
            return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM mesh.inbox WHERE attempts >= $1)", times))

    async def lock(self, user: str) -> None:
        """Takes the lock of a user, as a change of preferences does."""
        async with self.database.transaction() as tx:
            await user_lock.take(tx, user)

    async def sent(self) -> list[str]:
        """To which users the service remembers a mail."""
        async with self.database.transaction() as tx:
            return [row["user_name"] for row in await tx.fetch("SELECT user_name FROM notifications")]


def enveloped(event_type: str, aggregate: str, payload: bytes) -> Envelope:
    """An event of identity on its way."""
    return Envelope(str(uuid4()), event_type, "identity", aggregate, datetime.now(UTC), payload, traceparent=None)


EVENTS = (
    EmailChangeRequested,
    EmailConfirmationRequested,
    PasswordChanged,
    PasswordResetRequested,
    RegistrationRepeated,
    UserDeleted,
    UserRegistered,
)


@pytest.fixture
async def shop(
    tmp_path: Path, open_database: Callable[..., Awaitable[Database]], mail_server: MailServer
) -> AsyncIterator[Shop]:
    """All that notifications needs, on a broker of its own; identity, with the user Ada, is not started yet."""
    issuer, identity, port = Issuer(), IdentityStandIn(), free_port()
    identity.add("users/ada", "ada@example.com")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Nats(tmp_path / "nats", [ADMIN]))
        url = server.url(ADMIN.name)
        types = [kind.desc().type_name for kind in EVENTS]
        await provision(url, types, {"notifications": types})
        broker = await stack.enter_async_context(connect(url, "notifications"))
        database = await open_database("notifications")
        channel = Channel("identity", f"127.0.0.1:{port}", tokens=GivenToken(issuer.token("workloads/notifications")))
        users = Users(await stack.enter_async_context(channel))
        hashes = KeyedHash("hash key of the tests")
        mailer = Mailer(f"smtp://127.0.0.1:{mail_server.port}")
        consumers_of = partial(
            AccountConsumers, users=users, mailer=mailer, letters=Letters(), hashes=hashes, sender=SENDER
        )
        consumers, erasure = consumers_of(database), ErasureConsumers(hashes)
        yield Shop(url, broker, database, identity, port, issuer, mail_server, consumers, consumers_of, erasure, stack)


async def test_a_new_user_gets_a_welcome_mail(shop: Shop) -> None:
    """The mail goes to the address that identity gives to this workload, and is remembered."""
    await shop.start_identity()
    await shop.consume()
    await shop.publish_event(UserRegistered(user="users/ada"))
    await shop.until(("users/ada", "done"))
    [message] = shop.mail.messages
    assert (message["To"], message["Subject"]) == ("ada@example.com", "Welcome to Meshwright")
    assert "Ada" not in message.get_content(), "nobody has proved that the address is hers"
    assert await shop.sent() == ["users/ada"]
    assert shop.identity.callers == ["workloads/notifications"]


LINK = "https://shop.example.com/v1/emailConfirmation?token=secret"

ACCOUNT_MAILS: dict[str, tuple[Callable[[str], AccountEvent], list[tuple[str, str, bool]]]] = {
    "welcome": (
        lambda token: UserRegistered(user="users/ada", confirmation=token),
        [("ada@example.com", "Welcome to Meshwright", True)],
    ),
    "confirmation": (
        lambda token: EmailConfirmationRequested(user="users/ada", confirmation=token),
        [("ada@example.com", "Confirm your address at Meshwright", True)],
    ),
    "change of address": (
        lambda token: EmailChangeRequested(user="users/ada", confirmation=token),
        [
            ("ada@example.com", "Your address at Meshwright is about to change", False),
            ("new@example.com", "Confirm your new address at Meshwright", True),
        ],
    ),
    "reset": (
        lambda token: PasswordResetRequested(user="users/ada", reset=token),
        [("ada@example.com", "Reset your password at Meshwright", True)],
    ),
    "change of password": (
        lambda _: PasswordChanged(user="users/ada"),
        [("ada@example.com", "Your password at Meshwright was changed", False)],
    ),
}


@pytest.mark.parametrize(("event", "mails"), ACCOUNT_MAILS.values(), ids=ACCOUNT_MAILS)
async def test_a_mail_about_an_account_has_the_link(
    shop: Shop, event: Callable[[str], AccountEvent], mails: list[tuple[str, str, bool]]
) -> None:
    """The link is in the mail and nowhere in the database, neither are addresses; the present address has no link for
    the new one.
    """
    shop.identity.add("users/ada", "ada@example.com", confirmed=True)
    token = shop.identity.add_token("new@example.com", LINK)
    await shop.start_identity()
    await shop.consume()
    await shop.publish_event(event(token))
    await shop.until(("users/ada", "done"))
    sent = [(each["To"], each["Subject"], LINK in each.get_content()) for each in shop.mail.messages]
    assert sent == mails
    async with shop.database.transaction() as tx:
        stored = await tx.fetchval("SELECT string_agg(n::text, ' ') FROM notifications AS n")
    assert [word for word in ("secret", "@example.com") if word in stored] == []
    assert await shop.sent() == ["users/ada"] * len(mails)


async def test_a_new_address_that_is_rejected_repeats_no_mail_to_the_present_one(shop: Shop) -> None:
    """The server takes the mail to the present address each time, and does not know the domain of the new one yet."""
    event, mails = ACCOUNT_MAILS["change of address"]
    shop.identity.add("users/ada", "ada@example.com", confirmed=True)
    shop.mail.refusals["new@example.com"] = "450 4.1.2 domain not found"
    await shop.start_identity()
    await shop.consume()
    await shop.publish_event(event(shop.identity.add_token("new@example.com", LINK)))
    await shop.until_tried(3)
    shop.mail.refusals.clear()
    await shop.until(("users/ada", "done"))
    assert [(each["To"], each["Subject"]) for each in shop.mail.messages] == [mail[:2] for mail in mails]


async def test_a_change_of_address_takes_one_connection_of_the_pool(shop: Shop, database_url: str) -> None:
    """With a pool of one, it would wait for itself; with as many as there are workers, those would for each other. It
    doesn't wait for those either who wait for the lock of the user.
    """
    event, mails = ACCOUNT_MAILS["change of address"]
    shop.identity.add("users/ada", "ada@example.com", confirmed=True)
    await shop.start_identity()
    data = event(shop.identity.add_token("new@example.com", LINK))
    assert isinstance(data, EmailChangeRequested)
    requested = Event("1", data.desc().type_name, "identity", "users/ada", datetime.now(UTC), data)
    async with Database.open(DatabaseSettings(database_url=database_url, database_pool_size=1), "test") as single:
        async with single.transaction() as tx:
            await user_lock.share(tx, "users/ada")
            waiting = asyncio.create_task(shop.lock("users/ada"))
            await until_waiting(tx)
            await shop.consumers_of(single).email_change_requested(tx, requested)
        await waiting
    assert [(each["To"], each["Subject"]) for each in shop.mail.messages] == [mail[:2] for mail in mails]
    assert await shop.sent() == ["users/ada"] * 2


async def until_waiting(tx: Connection) -> None:
    """Waits until another transaction waits for an advisory lock."""
    async with asyncio.timeout(30):
        while not await tx.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)"):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["confirmation", "change of address", "reset"])
async def test_a_link_that_was_used_is_not_mailed(shop: Shop, kind: str) -> None:
    """A token that identity no longer knows is not mailed, which is not a failure."""
    await shop.start_identity()
    await shop.consume(IMPATIENT)
    await shop.publish_event(ACCOUNT_MAILS[kind][0](str(uuid4())))
    await shop.until(("users/ada", "done"))
    assert (shop.mail.messages, await shop.sent()) == ([], [])


async def test_a_welcome_needs_no_link(shop: Shop) -> None:
    """Whoever has confirmed the address before the mail was sent is welcome as well."""
    await shop.start_identity()
    await shop.consume()
    await shop.publish_event(UserRegistered(user="users/ada", confirmation=str(uuid4())))
    await shop.until(("users/ada", "done"))
    [message] = shop.mail.messages
    assert "confirm that this is your address" not in message.get_content()


async def test_a_reset_does_not_wait_for_the_mail_of_the_day(shop: Shop) -> None:
    """An address that is not confirmed gets one link that resets the password beside its mail of the day, and no
    more.
    """
    token = shop.identity.add_token("ada@example.com", LINK)
    await shop.start_identity()
    await shop.consume()
    for event in (
        UserRegistered(user="users/ada"),
        EmailConfirmationRequested(user="users/ada", confirmation=token),
        PasswordResetRequested(user="users/ada", reset=token),
        PasswordResetRequested(user="users/ada", reset=token),
    ):
        await shop.publish_event(event)
    await shop.until(*[("users/ada", "done")] * 4)
    subjects = [message["Subject"] for message in shop.mail.messages]
    assert subjects == ["Welcome to Meshwright", "Reset your password at Meshwright"]


async def test_a_user_erased_while_the_mail_is_sent_is_not_stored(shop: Shop) -> None:
    """Identity knew the user when it was asked, and the deletion was handled first."""
    await shop.start_identity()
    data = UserRegistered(user="users/ada")
    event = Event("1", UserRegistered.desc().type_name, "identity", "users/ada", datetime.now(UTC), data)
    async with shop.database.transaction() as tx:
        await shop.erasure.user_deleted(tx, deletion("users/ada"))
        await shop.consumers.user_registered(tx, event)
    assert (shop.mail.messages, await shop.sent()) == ([], [])


async def test_an_event_delivered_twice_gives_one_mail(shop: Shop) -> None:
    """The broker gives an event a second time; the one after it shows that it has come by without a mail."""
    await shop.start_identity()
    await shop.consume()
    envelope = await shop.publish_event(UserRegistered(user="users/ada"))
    await shop.until(("users/ada", "done"))
    client = await nats.connect(shop.nats_url)  # not by the adapter: NATS would drop the repetition by its message id
    await client.jetstream().publish(
        envelope.type, envelope.payload, stream=STREAM, headers=to_headers(envelope.attributes())
    )
    await client.close()
    shop.identity.add("users/bob", "bob@example.com")
    await shop.publish_event(UserRegistered(user="users/bob"))
    await shop.until(("users/ada", "done"), ("users/bob", "done"))
    assert [message["To"] for message in shop.mail.messages] == ["ada@example.com", "bob@example.com"]


async def test_while_the_mail_server_is_down_mail_waits(shop: Shop) -> None:
    """The event is tried until the mail server is back; nothing is remembered before, and then there is one mail."""
    await shop.start_identity()
    await shop.mail.stop()
    await shop.consume()
    await shop.publish_event(UserRegistered(user="users/ada"))
    await shop.until_tried()
    assert await shop.sent() == []
    await shop.mail.start()
    await shop.until(("users/ada", "done"))
    assert [message["To"] for message in shop.mail.messages] == ["ada@example.com"]
    assert await shop.sent() == ["users/ada"]


async def test_while_identity_is_down_mail_waits(shop: Shop) -> None:
    """The event is tried until identity is back, and then there is one mail."""
    await shop.consume()
    await shop.publish_event(UserRegistered(user="users/ada"))
    await shop.until_tried()
    await shop.start_identity()
    await shop.until(("users/ada", "done"))
    assert [message["To"] for message in shop.mail.messages] == ["ada@example.com"]


async def test_what_fails_too_often_is_set_aside_and_can_be_replayed(shop: Shop) -> None:
    """A mail that is refused for now is listed with the server's reason, without the address; replayed, it is sent."""
    await shop.start_identity()
    shop.mail.refusal = "450 ada@example.com is busy"
    await shop.consume(IMPATIENT)
    envelope = await shop.publish_event(UserRegistered(user="users/ada"))
    await shop.until(("users/ada", "dead"))
    async with shop.database.transaction() as tx:
        [letter] = await inbox_table.dead_letters(tx, 10)
    assert letter.last_error == "MailError: the mail server rejects the recipient with 450"
    shop.mail.refusal = ""
    async with shop.database.transaction() as tx:
        assert await inbox_table.replay(tx, envelope.id) == [envelope.id]
    await shop.until(("users/ada", "done"))
    assert [message["To"] for message in shop.mail.messages] == ["ada@example.com"]


@pytest.mark.parametrize("refusal", ["550 no such user", "552 5.2.2 mailbox full", "553 no", "501 5.1.3 bad address"])
async def test_a_recipient_refused_for_good_is_undeliverable_at_once(shop: Shop, refusal: str) -> None:
    """A permanent rejection is recorded after one try, and is not a dead letter."""
    await shop.start_identity()
    shop.mail.refusal = refusal
    await shop.consume()
    await shop.publish_event(UserRegistered(user="users/ada"))
    await shop.until(("users/ada", "done"))
    async with shop.database.transaction() as tx:
        assert await tx.fetchval("SELECT max(attempts) FROM mesh.inbox") == 1
        assert await tx.fetchval("SELECT email_state FROM notifications") == "undeliverable"
    assert shop.mail.messages == []


@pytest.mark.parametrize("address", ["a..b@example.com", ".a@example.com", "a@b@example.com", "a@example.com\r\nX: y"])
async def test_an_address_that_is_none_is_undeliverable_at_once(shop: Shop, address: str) -> None:
    """One that was registered before the contract knew better poisons nothing."""
    shop.identity.add("users/eve", address)
    await shop.start_identity()
    await shop.consume()
    await shop.publish_event(UserRegistered(user="users/eve"))
    await shop.publish_event(UserRegistered(user="users/ada"))
    await shop.until(("users/eve", "done"), ("users/ada", "done"))
    async with shop.database.transaction() as tx:
        rows = await tx.fetch("SELECT user_name, email_state FROM notifications ORDER BY user_name")
    assert [tuple(row) for row in rows] == [("users/ada", "sent"), ("users/eve", "undeliverable")]
    assert [message["To"] for message in shop.mail.messages] == ["ada@example.com"]


async def test_an_address_gets_one_mail_a_day(shop: Shop) -> None:
    """Repeated registrations and deletions mail an address once a day, in any spelling of the mailbox."""
    await shop.start_identity()
    await shop.consume()
    expected = []
    for number, address in enumerate(["eve@example.com", "Eve@EXAMPLE.com", "eve+1@example.com", "eve+2@example.com"]):
        user = f"users/eve-{number}"
        shop.identity.add(user, address)
        await shop.publish_event(UserRegistered(user=user))
        await shop.publish_event(UserDeleted(user=user))
        expected += [(user, "done"), (user, "done")]
        await shop.until(*expected)
    assert [message["To"] for message in shop.mail.messages] == ["eve@example.com"]
    async with shop.database.transaction() as tx:
        stored = await tx.fetchval("SELECT string_agg(m::text, ' ') FROM mailed_addresses AS m")
        assert "eve" not in stored
        await tx.execute("UPDATE mailed_addresses SET expire_time = now()")
    shop.identity.add("users/eve-9", "eve@example.com")
    await shop.publish_event(UserRegistered(user="users/eve-9"))
    await shop.until(*expected, ("users/eve-9", "done"))
    assert len(shop.mail.messages) == 2, "the next day it may get another"


async def test_of_registrations_at_once_one_is_mailed(shop: Shop) -> None:
    """Several users of one mailbox, handled by several workers at the same time."""
    await shop.start_identity()
    for number in range(6):
        shop.identity.add(f"users/{number}", f"eve+{number}@example.com")
        await shop.publish_event(UserRegistered(user=f"users/{number}"))
    await shop.consume()
    await shop.until(*((f"users/{number}", "done") for number in range(6)))
    assert len(shop.mail.messages) == 1


async def test_the_owner_of_an_address_is_notified_of_a_repeated_registration(shop: Shop) -> None:
    """A registration with a known address mails its owner, without any text of the stranger, who gets no hint."""
    await shop.start_identity()
    await shop.consume()
    await shop.publish_event(RegistrationRepeated(user="users/ada"))
    await shop.publish_event(RegistrationRepeated(user="users/ada"))
    await shop.until(("users/ada", "done"), ("users/ada", "done"))
    [message] = shop.mail.messages
    assert (message["To"], message["Subject"]) == ("ada@example.com", "You have an account at Meshwright")


@pytest.mark.parametrize(
    "payload",
    [b"\xff\xff", b"\x0a\x05users", UserRegistered(user="nobody").to_binary()],
    ids=["noise", "cut short", "not a user"],
)
async def test_a_poisonous_event_is_set_aside(shop: Shop, payload: bytes) -> None:
    """An event that can't be handled blocks nobody else's mail."""
    await shop.start_identity()
    await shop.consume(IMPATIENT)
    await shop.publish(enveloped(UserRegistered.desc().type_name, "users/eve", payload))
    await shop.publish_event(UserRegistered(user="users/ada"))
    await shop.until(("users/eve", "dead"), ("users/ada", "done"))
    assert [message["To"] for message in shop.mail.messages] == ["ada@example.com"]


async def test_a_deleted_user_gets_no_mail(shop: Shop) -> None:
    """A user who was deleted before the mail was sent is not mailed, which is not a failure."""
    await shop.start_identity()
    await shop.consume(IMPATIENT)
    await shop.publish_event(UserRegistered(user="users/eve"))
    await shop.until(("users/eve", "done"))
    assert (shop.mail.messages, await shop.sent()) == ([], [])


async def test_a_user_who_leaves_is_forgotten(shop: Shop) -> None:
    """With the user's data go the notifications, and nobody else's."""
    await shop.start_identity()
    await shop.consume()
    shop.identity.add("users/bob", "bob@example.com")
    for user in ("users/bob", "users/ada"):
        await shop.publish_event(UserRegistered(user=user))
    await shop.until(("users/bob", "done"), ("users/ada", "done"))
    await shop.publish_event(UserDeleted(user="users/ada"))
    await shop.until(("users/bob", "done"), ("users/ada", "done"), ("users/ada", "done"))
    assert await shop.sent() == ["users/bob"]


async def test_a_mail_repeated_after_a_crash_has_the_same_id(shop: Shop) -> None:
    """If the process dies when the mail was sent and not yet remembered, the second mail is known as the first."""
    await shop.start_identity()
    data = UserRegistered(user="users/ada")
    event = Event("1", UserRegistered.desc().type_name, "identity", "users/ada", datetime.now(UTC), data)
    with pytest.raises(DiedError):
        await _handle_and_die(shop, event)
    async with shop.database.transaction() as tx:
        await shop.consumers.user_registered(tx, event)
    first, second = shop.mail.messages
    assert first["Message-ID"] == second["Message-ID"]
    async with shop.database.transaction() as tx:
        await shop.consumers.user_registered(tx, event)
        await shop.consumers.user_registered(tx, replace(event, time=datetime.now(UTC)))
    assert len(shop.mail.messages) == 2, "what is remembered is not sent again"


async def _handle_and_die(shop: Shop, event: Event[UserRegistered]) -> None:
    async with shop.database.transaction() as tx:
        await shop.consumers.user_registered(tx, event)
        raise DiedError
