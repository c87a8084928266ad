"""From an event about an order to a notification in PostgreSQL, and to a mail over real SMTP."""

import asyncio
import copy
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from googleapis.google.type.money_pb import Money
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped
from meshwright.orders.v1.orders_pb import Order, OrderLine, Shipment
from meshwright.payments.v1.events_pb import PaymentRefunded
from meshwright.payments.v1.payments_pb import Payment
from protobuf import Message

from mesh import erased_users
from mesh.client import Channel as GrpcChannel
from mesh.database import Connection, Database
from mesh.database.database import LOCK_TIMEOUT_S
from mesh.events import Event
from mesh.telemetry import correlation
from services.notifications.clients import Users
from services.notifications.consumers.erasure import ErasureConsumers
from services.notifications.consumers.orders import OrderConsumers
from services.notifications.consumers.payments import PaymentConsumers
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.notification import Channel, Kind, Notification
from services.notifications.domain.phone_code import PhoneCode
from services.notifications.domain.preferences import Preferences
from services.notifications.domain.retry_schedule import RetrySchedule
from services.notifications.domain.webhook_endpoint import EndpointDetails, WebhookEndpoint
from services.notifications.letters import Letters
from services.notifications.notifier import Notifier
from services.notifications.senders.channel import Sender
from services.notifications.senders.mail import Mailer, MailSender
from services.notifications.senders.outgoing_messages import WORKERS, OutgoingMessages
from services.notifications.storage import outgoing_messages, phone_codes, preferences, webhook_endpoints
from services.notifications.storage.outgoing_messages import OutgoingMessage
from services.notifications.webhook_publisher import WebhookPublisher
from tests.given_token import GivenToken
from tests.issuer import Issuer
from tests.limited_statements import limit_statements
from tests.services.calls import serving
from tests.services.notifications.identity import IdentityStandIn
from tests.services.notifications.smtp import MailServer

PATIENT = RetrySchedule((0.05,) * 200)
IMPATIENT = RetrySchedule((0.01,))
ORDER = Order(
    name="orders/8a6e0804-2bd0-4672-b79d-d97027f9071a",
    uid="8a6e0804-2bd0-4672-b79d-d97027f9071a",
    customer="users/ada",
    lines=[
        OrderLine(title="Folding saw", quantity=2, amount=Money(currency_code="EUR", units=49, nanos=800_000_000)),
        OrderLine(title="$5 gift card", quantity=1, amount=Money(currency_code="EUR", units=5)),
    ],
    total=Money(currency_code="EUR", units=54, nanos=800_000_000),
)


@dataclass
class Shop:
    """The consumers, with all that they and the worker need."""

    database: Database
    mail: MailServer
    identity: IdentityStandIn
    sender: MailSender
    orders: OrderConsumers
    payments: PaymentConsumers
    erasure: ErasureConsumers
    stack: AsyncExitStack

    async def handle(self, message: Message, *, event_id: str = "", source: str = "orders") -> None:
        """Handles an event as the inbox does, in a transaction of its own."""
        handler = (self.orders.handlers() | self.payments.handlers() | self.erasure.handlers())[type(message)]
        event: Event[Any] = Event(
            event_id or str(uuid4()), message.desc().type_name, source, "aggregate", datetime.now(UTC), message
        )
        async with self.database.transaction() as tx:
            await handler(tx, event)

    async def work(self, schedule: RetrySchedule = PATIENT) -> None:
        """Sends what waits, until the end of the test."""
        await self.stack.enter_async_context(
            OutgoingMessages(self.database, {Channel.EMAIL: self.sender}, schedule, poll_pause_s=0.02)
        )

    async def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query."""
        async with self.database.transaction() as tx:
            return [tuple(row) for row in await tx.fetch(query)]

    async def until_state(self, *states: str) -> None:
        """Waits until the notifications have these states of their mails."""
        async with asyncio.timeout(30):
            while await self.states() != list(states):
                await asyncio.sleep(0.02)

    async def states(self) -> list[str]:
        """Returns the states of the mails, in the order of their notifications."""
        return [state for (state,) in await self.rows("SELECT email_state FROM notifications ORDER BY send_time, uid")]


@pytest.fixture
async def shop(open_database: Callable[..., Awaitable[Database]], mail_server: MailServer) -> AsyncIterator[Shop]:
    """The consumers, with Ada among the users."""
    issuer, identity = Issuer(), IdentityStandIn()
    identity.add("users/ada", "ada@example.com", confirmed=True)
    database, hashes = await open_database("notifications"), KeyedHash("hash key of the tests")
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(serving(issuer, identity.service))
        token = GivenToken(issuer.token("workloads/notifications"))
        channel = await stack.enter_async_context(GrpcChannel("identity", f"127.0.0.1:{port}", tokens=token))
        mailer = Mailer(f"smtp://127.0.0.1:{mail_server.port}")
        sender = MailSender(Users(channel), mailer, "Shop <shop@example.com>")
        notifier = Notifier(Letters(), hashes)
        orders, payments = OrderConsumers(notifier, WebhookPublisher(hashes)), PaymentConsumers(notifier)
        yield Shop(database, mail_server, identity, sender, orders, payments, ErasureConsumers(hashes), stack)


async def test_a_cancelled_order_is_mailed_and_in_the_app(shop: Shop) -> None:
    """Mail and notification have the order's number and lines; a dollar sign in a title stays one."""
    await shop.handle(OrderCancelled(order=ORDER))
    await shop.work()
    await shop.until_state("sent")
    [message] = shop.mail.messages
    assert (message["To"], message["Subject"]) == ("ada@example.com", "Your order 8a6e0804 is cancelled")
    text = message.get_content().replace("\r\n", "\n")
    assert "  2 x Folding saw: 49.80 EUR\n  1 x $5 gift card: 5.00 EUR\n\nTotal: 54.80 EUR\n" in text
    rows = await shop.rows("SELECT user_name, kind, resource, subject, text FROM notifications")
    assert rows == [("users/ada", "order_cancelled", ORDER.name, message["Subject"], text)]
    assert await shop.rows("SELECT * FROM outgoing_messages") == []


async def test_a_message_is_sent_for_the_request_that_caused_it(shop: Shop) -> None:
    """The id of the request is in the log lines about the message, and reaches the services that are asked for it."""
    ids = []

    class NotingSender(Sender):
        async def send(self, notification: Notification) -> None:
            ids.append(correlation.request_id())

    with correlation.bound("case-1", {}):
        await shop.handle(OrderCancelled(order=ORDER))
    async with OutgoingMessages(shop.database, {Channel.EMAIL: NotingSender()}, poll_pause_s=0.02):
        await shop.until_state("sent")
    assert ids == ["case-1"]


async def test_an_order_is_mailed_from_its_confirmation_to_its_refund(shop: Shop) -> None:
    """Each step is mailed with its details, and webhooks get each event of the order."""
    now = datetime.now(UTC)
    details = EndpointDetails("https://example.com/", "", (), all_orders=False)
    async with shop.database.transaction() as tx:
        endpoint = WebhookEndpoint.create(uuid4(), "users/ada", details, disabled=False, now=now)
        await webhook_endpoints.insert(tx, endpoint)
    shipped, cancelled = copy.deepcopy(ORDER), copy.deepcopy(ORDER)
    shipped.shipment = Shipment(carrier="DHL", tracking_number="0034 0434")
    cancelled.cancel_reason = Order.CancelReason.PAYMENT_FAILED
    refund = Money(currency_code="EUR", units=5)
    payment = Payment(order=ORDER.name, customer=ORDER.customer)
    await shop.handle(OrderPlaced(order=ORDER))
    await shop.handle(OrderConfirmed(order=ORDER))
    await shop.handle(OrderShipped(order=shipped))
    await shop.handle(OrderCancelled(order=cancelled))
    await shop.handle(PaymentRefunded(payment=payment, amount=refund), source="payments")
    await shop.work()
    await shop.until_state(*["sent"] * 4)
    mails = {message["Subject"]: message.get_content().replace("\r\n", "\n") for message in shop.mail.messages}
    assert set(mails) == {
        "Your order 8a6e0804 is confirmed",
        "Your order 8a6e0804 is on its way",
        "Your order 8a6e0804 is cancelled",
        "A refund of 5.00 EUR for your order 8a6e0804",
    }
    assert "Total: 54.80 EUR" in mails["Your order 8a6e0804 is confirmed"]
    assert "Carrier: DHL\nTracking number: 0034 0434" in mails["Your order 8a6e0804 is on its way"]
    assert "was cancelled because the payment failed" in mails["Your order 8a6e0804 is cancelled"]
    resources = await shop.rows("SELECT DISTINCT resource FROM notifications")
    assert resources == [(ORDER.name,)]
    types = await shop.rows("SELECT type FROM webhook_messages ORDER BY type")
    assert types == [("order.cancelled",), ("order.confirmed",), ("order.placed",), ("order.shipped",)]


async def test_an_event_handled_twice_notifies_once(shop: Shop) -> None:
    """The second time finds the notification of the first."""
    for _ in range(2):
        await shop.handle(OrderCancelled(order=ORDER), event_id="1")
    await shop.work()
    await shop.until_state("sent")
    assert len(shop.mail.messages) == 1


async def test_the_app_does_not_wait_for_the_mail_server(shop: Shop) -> None:
    """While it is down, the notification is there and its mail is pending; then there is one mail."""
    await shop.mail.stop()
    await shop.work()
    await shop.handle(OrderCancelled(order=ORDER))
    async with asyncio.timeout(30):
        while not await shop.rows("SELECT 1 FROM outgoing_messages WHERE attempts > 1"):
            await asyncio.sleep(0.02)
    assert await shop.states() == ["pending"]
    await shop.mail.start()
    await shop.until_state("sent")
    assert len(shop.mail.messages) == 1


@pytest.mark.parametrize(("refusal", "attempts"), [("550 no such user", 1), ("450 busy", 2)])
async def test_a_mail_that_cannot_be_sent_is_given_up(shop: Shop, refusal: str, attempts: int) -> None:
    """At once if it was rejected permanently, else after the last attempt; the notification stays."""
    recipients = []
    shop.mail.refusal = refusal
    original = shop.sender.send
    shop.sender.send = lambda notification: recipients.append(notification.user) or original(notification)  # type: ignore[method-assign,func-returns-value]
    await shop.handle(OrderCancelled(order=ORDER))
    await shop.work(IMPATIENT)
    await shop.until_state("undeliverable")
    assert recipients == ["users/ada"] * attempts
    assert await shop.rows("SELECT * FROM outgoing_messages") == []


async def test_a_mail_waits_until_its_address_is_confirmed(shop: Shop) -> None:
    """An order is not mailed to an unconfirmed address; its notification is in the app at once."""
    shop.identity.add("users/ada", "ada@example.com")
    await shop.handle(OrderCancelled(order=ORDER))
    await shop.work()
    async with asyncio.timeout(30):
        while not await shop.rows("SELECT 1 FROM outgoing_messages WHERE attempts > 2"):
            await asyncio.sleep(0.02)
    assert (shop.mail.messages, await shop.states()) == ([], ["pending"])
    shop.identity.add("users/ada", "ada@example.com", confirmed=True)
    await shop.until_state("sent")
    assert [message["To"] for message in shop.mail.messages] == ["ada@example.com"]


async def test_a_mail_to_an_address_that_is_never_confirmed_is_given_up(shop: Shop) -> None:
    """After the last attempt."""
    shop.identity.add("users/ada", "ada@example.com")
    await shop.handle(OrderCancelled(order=ORDER))
    await shop.work(IMPATIENT)
    await shop.until_state("undeliverable")
    assert shop.mail.messages == []


async def test_a_user_unknown_to_identity_gets_no_mail(shop: Shop) -> None:
    """It is not tried again, and blocks nobody else's mail."""
    shop.identity.users.clear()
    await shop.handle(OrderCancelled(order=ORDER))
    await shop.work()
    await shop.until_state("undeliverable")
    assert shop.mail.messages == []


async def test_an_event_after_the_deletion_of_its_user_stores_nothing(shop: Shop) -> None:
    """Deleted is what was there, and what comes late is not stored; other users are unaffected."""
    bob = Order(name="orders/1", uid="1", customer="users/bob")
    await shop.handle(OrderCancelled(order=ORDER))
    await shop.handle(OrderCancelled(order=bob))
    await shop.handle(UserDeleted(user="users/ada"), source="identity")
    await shop.handle(OrderCancelled(order=ORDER))
    await shop.handle(OrderPlaced(order=ORDER))
    assert await shop.rows("SELECT user_name FROM notifications") == [("users/bob",)]
    assert await shop.rows(
        "SELECT n.user_name FROM outgoing_messages JOIN notifications n ON uid = notification_uid"
    ) == [("users/bob",)]


async def test_a_deletion_at_the_same_time_leaves_nothing(shop: Shop) -> None:
    """Whichever of the two comes first waits for the other, so that nothing of the user stays."""
    for _ in range(10):
        await asyncio.gather(
            shop.handle(OrderCancelled(order=ORDER)), shop.handle(UserDeleted(user="users/ada"), source="identity")
        )
        assert await shop.rows("SELECT user_name FROM notifications") == []


async def test_a_worker_that_dies_loses_no_mail(shop: Shop) -> None:
    """Mails that a killed worker had taken are due again after the lease and are sent with the same Message-ID."""
    await shop.handle(OrderCancelled(order=ORDER))
    sent = asyncio.Event()

    async def die_after(notification: Any) -> None:
        await MailSender.send(shop.sender, notification)
        sent.set()
        await asyncio.Event().wait()

    shop.sender.send = die_after  # type: ignore[method-assign]
    worker = OutgoingMessages(shop.database, {Channel.EMAIL: shop.sender}, PATIENT, poll_pause_s=0.02, drain_s=0)
    async with worker:
        await sent.wait()
    del shop.sender.send
    async with shop.database.transaction() as tx:
        await tx.execute("UPDATE outgoing_messages SET due_time = now()")
    await shop.work()
    await shop.until_state("sent")
    first, second = shop.mail.messages
    assert first["Message-ID"] == second["Message-ID"]


async def test_a_process_that_stops_leaves_its_mails_to_others(shop: Shop) -> None:
    """A mail server that does not answer would otherwise delay them until the lease ends."""
    await shop.handle(OrderCancelled(order=ORDER))
    sending = asyncio.Event()

    async def send(notification: Any) -> None:
        sending.set()
        await asyncio.Event().wait()

    shop.sender.send = send  # type: ignore[method-assign]
    async with OutgoingMessages(shop.database, {Channel.EMAIL: shop.sender}, poll_pause_s=0.02, drain_s=0):
        await sending.wait()
    del shop.sender.send
    assert await shop.rows("SELECT due_time <= now() FROM outgoing_messages") == [(True,)]
    await shop.work()
    await shop.until_state("sent")


@pytest.mark.parametrize("back", [True, False])
async def test_a_mail_that_was_sent_is_not_left_to_others(shop: Shop, back: bool) -> None:
    """A process that stops tries once more to record it. While the database is away, it stays taken until its lease
    ends.
    """
    await shop.handle(OrderCancelled(order=ORDER))
    locked = asyncio.Event()
    async with shop.database.session() as session:

        async def send(notification: Any) -> None:
            await session.execute("BEGIN; SELECT FROM notifications FOR UPDATE")
            await MailSender.send(shop.sender, notification)
            locked.set()

        shop.sender.send = send  # type: ignore[method-assign]
        messages = OutgoingMessages(shop.database, {Channel.EMAIL: shop.sender}, poll_pause_s=0.02, drain_s=0)

        async def run() -> None:
            async with messages:
                await locked.wait()
                await until_waiting(shop)

        running = asyncio.create_task(run())
        await locked.wait()
        await asyncio.wait(messages._workers)
        if back:
            await session.execute("ROLLBACK")
        await running
        await session.execute("ROLLBACK")
    taken = await shop.rows("SELECT due_time > now() FROM outgoing_messages")
    assert taken == ([] if back else [(True,)])
    assert len(shop.mail.messages) == 1


async def until_waiting(shop: Shop) -> None:
    """Waits until a transaction waits for a lock."""
    async with asyncio.timeout(20):
        while await shop.rows("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(0,)]:
            await asyncio.sleep(0.01)


async def test_a_process_that_stops_keeps_the_pause_of_a_mail(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mail server has refused it, and the pause is recorded."""
    await shop.handle(OrderCancelled(order=ORDER))
    paused = asyncio.Event()
    postpone = outgoing_messages.postpone

    async def send(notification: Any) -> None:
        raise OSError("busy")

    async def postpone_slowly(tx: Connection, message: OutgoingMessage, pause_s: float) -> None:
        async with shop.database.transaction() as own:
            await postpone(own, message, pause_s)
        paused.set()
        await asyncio.Event().wait()

    shop.sender.send = send  # type: ignore[method-assign]
    schedule = RetrySchedule((36_000,))
    async with OutgoingMessages(shop.database, {Channel.EMAIL: shop.sender}, schedule, poll_pause_s=0.02, drain_s=0):
        with monkeypatch.context() as patch:
            patch.setattr(outgoing_messages, "postpone", postpone_slowly)
            await paused.wait()
    assert await shop.rows("SELECT due_time > now() + interval '1 hour' FROM outgoing_messages") == [(True,)]


async def test_a_mail_that_was_sent_is_recorded_once_the_database_is_back(shop: Shop) -> None:
    """It is not sent again because the database did not answer when the mail server had accepted it."""
    await shop.handle(OrderCancelled(order=ORDER))
    async with shop.database.session() as session, asyncio.TaskGroup() as tasks:

        async def unlock() -> None:
            await asyncio.sleep(LOCK_TIMEOUT_S + 1)
            await session.execute("ROLLBACK")

        async def send(notification: Any) -> None:
            await session.execute("BEGIN; LOCK TABLE outgoing_messages")
            await MailSender.send(shop.sender, notification)
            tasks.create_task(unlock())

        shop.sender.send = send  # type: ignore[method-assign]
        await shop.work()
        await shop.until_state("sent")
    assert len(shop.mail.messages) == 1


async def test_a_channel_that_does_not_answer_holds_up_no_other(shop: Shop) -> None:
    """Not even if as many messages wait for it as there are workers."""
    for number in range(WORKERS):
        await shop.handle(OrderCancelled(order=ORDER), event_id=str(number))
    channels = {Kind.ORDER_CANCELLED: frozenset({Channel.SMS})}
    async with shop.database.transaction() as tx:
        await preferences.write(tx, Preferences("users/ada", channels, "+4930123456", datetime.now(UTC), 1))
    await shop.handle(OrderCancelled(order=ORDER))
    sent = asyncio.Event()

    class Silent:
        async def send(self, notification: Notification) -> None:
            await asyncio.Event().wait()

    class Answering:
        async def send(self, notification: Notification) -> None:
            sent.set()

    senders: dict[Channel, Sender] = {Channel.EMAIL: Silent(), Channel.SMS: Answering()}
    async with OutgoingMessages(shop.database, senders, poll_pause_s=0.02, drain_s=0), asyncio.timeout(20):
        await sent.wait()


async def test_several_workers_send_each_message_once(shop: Shop) -> None:
    """Workers of several replicas send each due message once."""
    for number in range(20):
        await shop.handle(OrderCancelled(order=ORDER), event_id=str(number))
    for _ in range(3):
        await shop.work()
    await shop.until_state(*["sent"] * 20)
    assert len({message["Message-ID"] for message in shop.mail.messages}) == len(shop.mail.messages) == 20


async def test_an_event_without_an_order_is_an_error(shop: Shop) -> None:
    """It becomes a dead letter, and stores nothing."""
    with pytest.raises(ValueError, match="no order"):
        await shop.handle(OrderCancelled())
    with pytest.raises(ValueError, match="no payment"):
        await shop.handle(PaymentRefunded())
    assert await shop.rows("SELECT * FROM notifications") == []


async def test_an_event_about_an_erased_customer_notifies_nobody(shop: Shop) -> None:
    """Events of an order without a customer are not an error, and staff get no webhook."""
    details = EndpointDetails("https://example.com/", "", (), all_orders=True)
    async with shop.database.transaction() as tx:
        endpoint = WebhookEndpoint.create(uuid4(), "users/staff", details, disabled=False, now=datetime.now(UTC))
        await webhook_endpoints.insert(tx, endpoint)
    order, payment = Order(name=ORDER.name, total=ORDER.total), Payment(order=ORDER.name)
    for event in (OrderPlaced, OrderConfirmed, OrderShipped, OrderCancelled):
        await shop.handle(event(order=order))
    await shop.handle(PaymentRefunded(payment=payment, amount=ORDER.total), source="payments")
    assert await shop.rows("SELECT uid FROM notifications UNION SELECT uid FROM webhook_messages") == []


async def test_a_deleted_user_is_forgotten(shop: Shop) -> None:
    """Nothing that is stored about the user stays, not even at the webhook endpoints of staff."""
    now = datetime.now(UTC)
    details = EndpointDetails("https://example.com/", "", (), all_orders=False)
    everything = replace(details, all_orders=True)
    async with shop.database.transaction() as tx:
        for owner, given in (("users/ada", details), ("users/staff", everything)):
            endpoint = WebhookEndpoint.create(uuid4(), owner, given, disabled=False, now=now)
            await webhook_endpoints.insert(tx, endpoint)
        await preferences.write(tx, Preferences("users/ada", {}, "+4930123456", now, 1))
        await phone_codes.write(tx, PhoneCode.create("users/ada", "+4930123456", b"", now))
    await shop.handle(OrderPlaced(order=ORDER))
    await shop.handle(OrderCancelled(order=ORDER))
    assert len(await shop.rows("SELECT uid FROM webhook_deliveries")) == 4
    await shop.handle(UserDeleted(user="users/ada"), source="identity")
    await shop.handle(OrderCancelled(order=ORDER))
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
    tables = [str(name) for (name,) in await shop.rows(query)]
    dump = {name: await shop.rows(f"SELECT t::text FROM {name} AS t") for name in tables}
    assert "webhook_messages" in dump
    assert [name for name, rows in dump.items() if "users/ada" in str(rows) or ORDER.uid in str(rows)] == []
    assert len(dump["webhook_endpoints"]) == 1, "the endpoint of staff stays"


async def test_a_user_with_many_messages_is_forgotten_in_parts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement has so much to do that its time limit ends the erasure, at each try."""
    monkeypatch.setattr(erased_users, "ERASED_PER_STATEMENT_MAX", 2)
    details = EndpointDetails("https://example.com/", "", (), all_orders=False)
    async with shop.database.transaction() as tx:
        endpoint = WebhookEndpoint.create(uuid4(), "users/ada", details, disabled=False, now=datetime.now(UTC))
        await webhook_endpoints.insert(tx, endpoint)
    for number in range(5):
        await shop.handle(OrderCancelled(order=ORDER), event_id=f"{number}")
    tables = ("notifications", "webhook_messages", "webhook_deliveries")
    for table in tables:
        assert len(await shop.rows(f"SELECT FROM {table}")) == 5
        await limit_statements(shop.database, table, 2)
    await shop.handle(UserDeleted(user="users/ada"), source="identity")
    assert [await shop.rows(f"SELECT FROM {table}") for table in tables] == [[], [], []]


async def test_a_placed_order_is_for_webhooks_only(shop: Shop) -> None:
    """The customer is notified once it is confirmed or cancelled; the message has the order as the API returns it."""
    now = datetime.now(UTC)
    details = EndpointDetails("https://example.com/", "", (), all_orders=False)
    async with shop.database.transaction() as tx:
        endpoint = WebhookEndpoint.create(uuid4(), "users/ada", details, disabled=False, now=now)
        await webhook_endpoints.insert(tx, endpoint)
    for _ in range(2):
        await shop.handle(OrderPlaced(order=ORDER), event_id="1")
    assert await shop.rows("SELECT uid FROM notifications") == []
    [(event_type, body)] = await shop.rows(
        "SELECT type, body FROM webhook_deliveries JOIN webhook_messages AS m ON m.uid = message_uid"
    )
    message = json.loads(body)
    assert (event_type, message["type"]) == ("order.placed", "order.placed")
    assert message["data"] == json.loads(ORDER.to_json())
    assert message["timestamp"].endswith("Z")
