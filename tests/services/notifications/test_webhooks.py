"""The worker that delivers webhooks, from rows in PostgreSQL to real receivers."""

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import structlog
from standardwebhooks import Webhook

from mesh.database import Database
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.reachable_addresses import ReachableAddresses
from services.notifications.domain.retry_schedule import RetrySchedule
from services.notifications.domain.webhook_delivery import Message
from services.notifications.domain.webhook_endpoint import DisableReason, EndpointDetails, WebhookEndpoint
from services.notifications.domain.webhook_secret import WebhookSecrets, encoded
from services.notifications.letters import Letters
from services.notifications.notifier import Notifier
from services.notifications.senders.resolver import Resolver
from services.notifications.senders.webhook_client import WebhookClient
from services.notifications.senders.webhooks import CONCURRENT_MAX, WebhookDeliveries
from services.notifications.storage import user_lock, webhook_endpoints, webhook_messages
from services.notifications.storage.webhook_endpoints import OWNER_LEASES_MAX
from services.notifications.webhook_publisher import message_body
from tests.lock_waits import lock_waits
from tests.services.notifications.receiver import Receiver, response

SECRETS = WebhookSecrets("key of the tests")
LOOPBACK = ReachableAddresses([ipaddress.ip_network("127.0.0.0/8")])
QUICK = RetrySchedule((0.02,) * 200)
FEW = RetrySchedule((0.02,) * 2)
DAY = timedelta(days=1)


@dataclass
class Shop:
    """A database with endpoints, and what works on it."""

    database: Database
    stack: AsyncExitStack

    async def work(
        self,
        schedule: RetrySchedule = QUICK,
        *,
        disable_after: timedelta = DAY,
        backlog_max: int = 1000,
        workers: int = 4,
        drain_s: float = 5,
        timeout_s: float = 10,
    ) -> WebhookDeliveries:
        """Delivers until the end of the test."""
        client = WebhookClient(Resolver(LOOPBACK), http_allowed=True, timeout_s=timeout_s)
        worker = WebhookDeliveries(
            self.database,
            client,
            SECRETS,
            Notifier(Letters(), KeyedHash("key")),
            schedule=schedule,
            disable_after=disable_after,
            backlog_max=backlog_max,
            workers=workers,
            poll_pause_s=0.02,
            drain_s=drain_s,
        )
        return await self.stack.enter_async_context(worker)

    async def add_endpoint(self, receiver: Receiver, owner: str = "users/ada", **details: Any) -> WebhookEndpoint:
        """Adds an endpoint that leads to a receiver."""
        given = EndpointDetails(receiver.url(), "", (), all_orders=False)
        endpoint = WebhookEndpoint.create(
            uuid4(), owner, replace(given, **details), disabled=False, now=datetime.now(UTC)
        )
        async with self.database.transaction() as tx:
            await webhook_endpoints.insert(tx, endpoint)
        return endpoint

    async def publish(self, customer: str = "users/ada", event_type: str = "order.placed") -> Message:
        """Publishes a message about an order of a customer."""
        body = message_body(event_type, datetime.now(UTC), {"customer": customer})
        message = Message(uuid4(), customer, event_type, body)
        async with self.database.transaction() as tx:
            await webhook_messages.publish(tx, message)
        return message

    async def find(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        """Returns an endpoint as it is now."""
        async with self.database.transaction() as tx:
            found = await webhook_endpoints.find(tx, endpoint.uid)
        assert found is not None
        return found

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Returns the rows of a query."""
        async with self.database.transaction() as tx:
            return [tuple(row) for row in await tx.fetch(query, *arguments)]

    async def states(self) -> list[str]:
        """Returns the states of all deliveries."""
        return [state for (state,) in await self.rows("SELECT state FROM webhook_deliveries ORDER BY create_time, uid")]

    async def until(self, *states: str) -> None:
        """Waits until the deliveries have these states."""
        async with asyncio.timeout(30):
            while await self.states() != list(states):
                await asyncio.sleep(0.02)

    async def until_disabled(self, endpoint: WebhookEndpoint) -> WebhookEndpoint:
        """Waits until an endpoint is disabled, and returns it."""
        async with asyncio.timeout(30):
            while (found := await self.find(endpoint)).disable_reason is None:
                await asyncio.sleep(0.02)
        return found

    async def execute(self, statement: str) -> None:
        """Executes a statement."""
        async with self.database.transaction() as tx:
            await tx.execute(statement)


@pytest.fixture
async def shop(open_database: Callable[..., Awaitable[Database]]) -> AsyncIterator[Shop]:
    """A shop without endpoints."""
    async with AsyncExitStack() as stack:
        yield Shop(await open_database("notifications"), stack)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver."""
    async with Receiver().listening() as receiver:
        yield receiver


async def test_a_message_is_delivered_and_verified(shop: Shop, receiver: Receiver) -> None:
    """The receiver can verify it with the secret of the endpoint; the log has the attempt."""
    endpoint = await shop.add_endpoint(receiver)
    message = await shop.publish()
    await shop.work()
    await shop.until("succeeded")
    [received] = receiver.received
    Webhook(encoded(SECRETS.derive(endpoint.uid, 1))).verify(received.body.decode(), received.headers)
    assert received.headers["webhook-id"] == f"msg_{message.uid.hex}"
    assert json.loads(received.body)["type"] == "order.placed"
    assert await shop.rows("SELECT number, status, error FROM webhook_attempts") == [(1, 200, "")]


async def test_both_secrets_sign_after_a_rotation(shop: Shop, receiver: Receiver) -> None:
    """Receivers with either secret accept the message."""
    endpoint = await shop.add_endpoint(receiver)
    async with shop.database.transaction() as tx:
        await webhook_endpoints.update(tx, endpoint.rotate_secret(datetime.now(UTC)))
    await shop.publish()
    await shop.work()
    await shop.until("succeeded")
    [received] = receiver.received
    for version in (1, 2):
        Webhook(encoded(SECRETS.derive(endpoint.uid, version))).verify(received.body.decode(), received.headers)


async def test_messages_go_to_subscribed_endpoints(shop: Shop) -> None:
    """The customer's own endpoints by type, staff's of all orders, and no disabled one."""
    async with AsyncExitStack() as stack:
        mine, other_type, hers, staffs, disabled, extra = [
            await stack.enter_async_context(Receiver().listening()) for _ in range(6)
        ]
        await shop.add_endpoint(mine, event_types=("order.placed",))
        await shop.add_endpoint(other_type, event_types=("order.cancelled",))
        await shop.add_endpoint(hers, "users/eve")
        await shop.add_endpoint(staffs, "users/staff", all_orders=True)
        own = await shop.add_endpoint(extra, "users/ada", all_orders=True)
        off = await shop.add_endpoint(disabled)
        async with shop.database.transaction() as tx:
            await webhook_endpoints.update(tx, off.disable(DisableReason.OWNER, datetime.now(UTC)))
        await shop.publish()
        await shop.publish("users/bob")
        await shop.work()
        await shop.until(*["succeeded"] * 5)
        counts = [len(each.received) for each in (mine, other_type, hers, staffs, disabled, extra)]
    assert counts == [1, 0, 0, 2, 0, 2], own


async def test_without_endpoints_nothing_is_stored(shop: Shop) -> None:
    """Neither a message nor a delivery."""
    await shop.publish()
    assert await shop.rows("SELECT uid FROM webhook_messages") == []


async def test_a_failure_is_repeated_with_the_same_id(shop: Shop, receiver: Receiver) -> None:
    """Until it succeeds; each attempt is signed anew, and in the log."""
    receiver.answers = [response(500), response(302, "location: /"), b"nonsense\r\n\r\n"]
    await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work()
    await shop.until("succeeded")
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 1
    attempts = await shop.rows("SELECT status, error FROM webhook_attempts ORDER BY number")
    assert attempts == [(500, ""), (302, ""), (None, "the response is not valid HTTP"), (200, "")]


async def test_a_delivery_ends_after_its_last_attempt(shop: Shop, receiver: Receiver) -> None:
    """It has failed then, and the endpoint stays enabled, because it has not failed for long."""
    receiver.answer = response(500)
    endpoint = await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work(FEW)
    await shop.until("failed")
    assert len(receiver.received) == 3
    found = await shop.find(endpoint)
    assert (found.disable_reason, found.failing_since is not None) == (None, True)


async def test_a_dead_endpoint_is_disabled_and_its_owner_notified(shop: Shop, receiver: Receiver) -> None:
    """An endpoint without a success for long enough is disabled; pending deliveries wait, and no more are added."""
    receiver.answer = response(500)
    endpoint = await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work(disable_after=timedelta(seconds=0.1))
    async with asyncio.timeout(30):
        while (found := await shop.find(endpoint)).disable_reason is None:
            await asyncio.sleep(0.02)
    assert (found.disable_reason, found.version) == (DisableReason.FAILING, 2)
    await shop.publish()
    assert await shop.states() == ["pending"]
    rows = await shop.rows("SELECT user_name, kind, resource, email_state, text FROM notifications")
    [(user, kind, resource, email_state, text)] = rows
    assert (user, kind, resource) == ("users/ada", "webhook_endpoint_disabled", endpoint.name)
    assert email_state == "pending"
    assert endpoint.name in text
    assert receiver.url() not in text, "a text of the owner's goes to no address that may be a stranger's"


async def test_an_overloaded_endpoint_is_disabled(shop: Shop, receiver: Receiver) -> None:
    """If more deliveries wait than are kept for a receiver, even though it takes some."""
    endpoint = await shop.add_endpoint(receiver)
    for _ in range(30):
        await shop.publish()
    await shop.work(backlog_max=10)
    found = await shop.until_disabled(endpoint)
    assert found.disable_reason is DisableReason.OVERLOADED
    assert (await shop.states()).count("pending") == 30 - CONCURRENT_MAX


async def test_an_overloaded_endpoint_can_be_enabled(shop: Shop, receiver: Receiver) -> None:
    """It gets all that waited, although that is more than may wait. What comes later is limited as before."""
    endpoint = await shop.add_endpoint(receiver)
    for _ in range(30):
        await shop.publish()
    await shop.work(backlog_max=10)
    disabled = await shop.until_disabled(endpoint)
    async with shop.database.transaction() as tx:
        enabled = disabled.update(disabled.details, disabled=False, etag="", now=datetime.now(UTC))
        await webhook_endpoints.update(tx, enabled)
    await shop.until(*["succeeded"] * 30)
    assert (await shop.find(endpoint)).disable_reason is None
    receiver.open.clear()
    for _ in range(30):
        await shop.publish()
    receiver.open.set()
    assert (await shop.until_disabled(endpoint)).disable_reason is DisableReason.OVERLOADED


async def test_slow_receivers_of_one_owner_leave_workers_to_others(shop: Shop) -> None:
    """However many endpoints the owner has, a few are delivered to at the same time."""
    async with Receiver().listening() as slow, Receiver().listening() as quick:
        slow.open.clear()
        for _ in range(OWNER_LEASES_MAX + 3):
            await shop.add_endpoint(slow, "users/slow")
        await shop.add_endpoint(quick, "users/quick")
        await shop.publish("users/slow")
        await shop.work(workers=OWNER_LEASES_MAX + 1)
        await slow.until_received(OWNER_LEASES_MAX)
        await shop.publish("users/quick")
        await quick.until_received(1)
        assert slow.concurrent_max == OWNER_LEASES_MAX
        slow.open.set()
        await slow.until_received(OWNER_LEASES_MAX + 3)


async def test_an_endpoint_that_is_gone_is_disabled_at_once(shop: Shop, receiver: Receiver) -> None:
    """By status 410, as Standard Webhooks has it."""
    receiver.answer = response(410)
    endpoint = await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work()
    await shop.until("failed")
    assert (await shop.find(endpoint)).disable_reason is DisableReason.GONE
    assert len(await shop.rows("SELECT 1 FROM notifications")) == 1


async def test_an_enabled_endpoint_gets_what_was_pending(shop: Shop, receiver: Receiver) -> None:
    """Deliveries that waited while it was disabled are attempted."""
    endpoint = await shop.add_endpoint(receiver)
    await shop.publish()
    async with shop.database.transaction() as tx:
        await webhook_endpoints.update(tx, disabled := endpoint.disable(DisableReason.OWNER, datetime.now(UTC)))
    await shop.work()
    await asyncio.sleep(0.2)
    assert receiver.received == []
    async with shop.database.transaction() as tx:
        enabled = disabled.update(disabled.details, disabled=False, etag="", now=datetime.now(UTC))
        await webhook_endpoints.update(tx, enabled)
    await shop.until("succeeded")


async def test_pending_orders_of_others_are_dropped_with_the_right_to_them(shop: Shop, receiver: Receiver) -> None:
    """An endpoint that no longer receives all orders may lead elsewhere: it gets those of its owner."""
    endpoint = await shop.add_endpoint(receiver, all_orders=True)
    await shop.publish("users/eve")
    own = await shop.publish("users/ada")
    own_orders = replace(endpoint.details, all_orders=False)
    async with shop.database.transaction() as tx:
        changed = endpoint.update(own_orders, disabled=False, etag="", now=datetime.now(UTC))
        await webhook_endpoints.update(tx, changed)
    await shop.work()
    await shop.until("succeeded")
    assert [received.headers["webhook-id"] for received in receiver.received] == [own.webhook_id]


async def test_orders_of_others_are_kept_if_the_right_to_them_comes_with_them(
    shop: Shop, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that took the endpoint just before leaves them to the next one."""
    endpoint = await shop.add_endpoint(receiver, "users/staff")
    await shop.publish("users/staff")
    deliver = WebhookDeliveries._deliver

    async def deliver_later(self: WebhookDeliveries, taken: WebhookEndpoint) -> None:
        if not (await shop.find(endpoint)).details.all_orders:
            details = replace(endpoint.details, all_orders=True)
            async with shop.database.transaction() as tx:
                current = await webhook_endpoints.find(tx, endpoint.uid, lock=True)
                assert current is not None
                changed = current.update(details, disabled=False, etag="", now=datetime.now(UTC))
                await webhook_endpoints.update(tx, changed)
            await shop.publish("users/bob")
        await deliver(self, taken)

    monkeypatch.setattr(WebhookDeliveries, "_deliver", deliver_later)
    await shop.work()
    await shop.until("succeeded", "succeeded")


async def test_a_slow_receiver_blocks_nobody(shop: Shop) -> None:
    """While one endpoint of many messages does not answer, others get theirs; the slow one has a few requests."""
    async with Receiver().listening() as slow, Receiver().listening() as quick:
        slow.open.clear()
        await shop.add_endpoint(slow, "users/slow")
        await shop.add_endpoint(quick, "users/quick")
        for _ in range(3 * CONCURRENT_MAX):
            await shop.publish("users/slow")
        for _ in range(2):
            await shop.work(workers=2)
        await slow.until_received(CONCURRENT_MAX)
        for _ in range(5):
            await shop.publish("users/quick")
        await quick.until_received(5)
        assert slow.concurrent_max == CONCURRENT_MAX
        slow.open.set()
        await slow.until_received(3 * CONCURRENT_MAX)
        assert slow.concurrent_max == CONCURRENT_MAX


async def test_replicas_deliver_each_message_once(shop: Shop, receiver: Receiver) -> None:
    """Whoever has the lease of an endpoint delivers to it."""
    await shop.add_endpoint(receiver)
    for _ in range(3):
        await shop.work()
    for _ in range(40):
        await shop.publish()
    await shop.until(*["succeeded"] * 40)
    ids = [received.headers["webhook-id"] for received in receiver.received]
    assert len(ids) == len(set(ids)) == 40


async def test_a_message_that_comes_during_a_delivery_is_delivered(shop: Shop, receiver: Receiver) -> None:
    """The end of a lease does not forget what was added meanwhile."""
    receiver.open.clear()
    await shop.add_endpoint(receiver)
    await shop.work()
    await shop.publish()
    await receiver.until_received(1)
    await shop.publish()
    receiver.open.set()
    await shop.until("succeeded", "succeeded")
    assert len({received.headers["webhook-id"] for received in receiver.received}) == 2


async def test_publishers_do_not_wait_for_each_other(shop: Shop, receiver: Receiver) -> None:
    """Transactions that publish to the same endpoints in another order both commit, and all messages are delivered."""
    for user in ("users/ada", "users/bob"):
        await shop.add_endpoint(receiver, user)
    await shop.work()
    async with shop.database.transaction() as one, shop.database.transaction() as other:
        for tx, customer in ((one, "ada"), (other, "bob"), (one, "bob"), (other, "ada")):
            await webhook_messages.publish(tx, Message(uuid4(), f"users/{customer}", "order.placed", b"{}"))
    await shop.until(*["succeeded"] * 4)


async def test_publishers_hold_up_nobody(shop: Shop, receiver: Receiver) -> None:
    """While a transaction that has published to an endpoint is open, as that of a batch of events is, the endpoint is
    delivered to, the result is recorded, and its owner can change it.
    """
    endpoint = await shop.add_endpoint(receiver)
    await shop.publish()
    async with shop.database.transaction() as tx:
        await webhook_messages.publish(tx, Message(uuid4(), "users/ada", "order.placed", b"{}"))
        await shop.work()
        await shop.until("succeeded")
        async with shop.database.transaction() as other:
            assert await webhook_endpoints.find(other, endpoint.uid, lock=True) == endpoint
            await webhook_endpoints.update(other, endpoint.rotate_secret(datetime.now(UTC)))
    await shop.until("succeeded", "succeeded")


async def test_a_result_is_recorded_while_others_publish(shop: Shop, receiver: Receiver) -> None:
    """A message that the receiver has accepted is not sent again because a transaction publishes another one."""
    receiver.open.clear()
    await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work()
    await receiver.until_received(1)
    async with shop.database.transaction() as tx:
        await webhook_messages.publish(tx, Message(uuid4(), "users/ada", "order.placed", b"{}"))
        receiver.open.set()
        await shop.until("succeeded")
    await shop.until("succeeded", "succeeded")
    ids = [received.headers["webhook-id"] for received in receiver.received]
    assert len(ids) == len(set(ids)) == 2


async def test_a_result_waits_for_the_erasure_of_the_owner_without_the_endpoint(shop: Shop, receiver: Receiver) -> None:
    """The erasure locks its user and then the endpoint; the notification of the owner needs both as well."""
    receiver.answer = response(410)
    receiver.open.clear()
    await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work()
    await receiver.until_received(1)
    async with shop.database.transaction() as tx:
        await user_lock.take(tx, "users/ada")
        receiver.open.set()
        async with asyncio.timeout(20):
            while await lock_waits(shop.database) == 0:
                await asyncio.sleep(0.02)
        await tx.execute("SELECT FROM webhook_endpoints FOR UPDATE NOWAIT")
    await shop.until("failed")


async def test_results_do_not_wait_for_the_erasure_of_a_customer(shop: Shop, receiver: Receiver) -> None:
    """It deletes messages in another order than their results are recorded in."""
    receiver.open.clear()
    await shop.add_endpoint(receiver, all_orders=True)
    first, second = await shop.publish("users/bob"), await shop.publish("users/bob")
    delete = "DELETE FROM webhook_messages WHERE uid = $1"
    with structlog.testing.capture_logs() as logged:
        await shop.work()
        await receiver.until_received(2)
        async with shop.database.transaction() as tx:
            await tx.execute(delete, second.uid)
            receiver.open.set()
            async with asyncio.timeout(20):
                while await shop.states() != ["succeeded", "pending"] and await lock_waits(shop.database) == 0:
                    await asyncio.sleep(0.02)
            await tx.execute(delete, first.uid)
        await shop.until()
    assert [record["event"] for record in logged if record["log_level"] == "warning"] == []


async def test_a_process_that_dies_loses_no_message(shop: Shop, receiver: Receiver) -> None:
    """Another one delivers after the lease, with the same id."""
    receiver.open.clear()
    await shop.add_endpoint(receiver)
    await shop.publish()
    worker = await shop.work(drain_s=0)
    await receiver.until_received(1)
    await worker.__aexit__(None, None, None)
    receiver.open.set()
    await shop.execute("UPDATE webhook_endpoints SET lease_expire_time = now()")
    await shop.work()
    await shop.until("succeeded")
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_an_endpoint_can_be_deleted_during_a_delivery(shop: Shop, receiver: Receiver) -> None:
    """The result of the attempt is not recorded, and the worker continues."""
    receiver.open.clear()
    endpoint = await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work()
    await receiver.until_received(1)
    async with shop.database.transaction() as tx:
        await webhook_endpoints.delete(tx, endpoint)
    receiver.open.set()
    await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.until("succeeded")
    assert await shop.rows("SELECT count(*) FROM webhook_attempts") == [(1,)]


async def test_an_owner_can_change_an_endpoint_during_a_delivery(shop: Shop, receiver: Receiver) -> None:
    """The result does not overwrite the change."""
    receiver.answer = response(500)
    receiver.open.clear()
    endpoint = await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work(FEW)
    await receiver.until_received(1)
    changed = endpoint.update(
        replace(endpoint.details, description="New"), disabled=False, etag="", now=datetime.now(UTC)
    )
    async with shop.database.transaction() as tx:
        await webhook_endpoints.update(tx, changed)
    receiver.open.set()
    await shop.until("failed")
    assert (await shop.find(endpoint)).details.description == "New"


async def test_failures_at_a_replaced_url_do_not_count(shop: Shop, receiver: Receiver) -> None:
    """The old receiver answers that it is gone, after the owner has entered the new one: that gets the message."""
    receiver.answer = response(410)
    receiver.open.clear()
    endpoint = await shop.add_endpoint(receiver)
    await shop.publish()
    await shop.work()
    await receiver.until_received(1)
    async with Receiver().listening() as new:
        moved = endpoint.update(
            replace(endpoint.details, url=new.url()), disabled=False, etag="", now=datetime.now(UTC)
        )
        async with shop.database.transaction() as tx:
            await webhook_endpoints.update(tx, moved)
        receiver.open.set()
        await shop.until("succeeded")
        assert len(new.received) == 1
    assert (await shop.find(endpoint)).disable_reason is None


async def test_old_messages_are_purged(shop: Shop, receiver: Receiver) -> None:
    """With their deliveries and attempts, a limited number at a time; newer ones stay."""
    await shop.add_endpoint(receiver)
    await shop.work()
    for _ in range(3):
        await shop.publish()
    await shop.until(*["succeeded"] * 3)
    await shop.execute("UPDATE webhook_messages SET create_time = now() - interval '31 days'")
    kept = await shop.publish()
    await shop.until(*["succeeded"] * 4)
    async with shop.database.transaction() as tx:
        assert [await webhook_messages.purge(tx, 2) for _ in range(3)] == [2, 1, 0]
    assert await shop.rows("SELECT message_uid FROM webhook_deliveries") == [(kept.uid,)]
    assert await shop.rows("SELECT count(*) FROM webhook_attempts") == [(1,)]


async def test_a_purge_does_not_wait_for_an_erasure(shop: Shop, receiver: Receiver) -> None:
    """The erasure of the customer may wait for another one of the messages, which the purge deletes meanwhile."""
    await shop.add_endpoint(receiver)
    messages = [await shop.publish() for _ in range(3)]
    await shop.execute("UPDATE webhook_messages SET create_time = now() - interval '31 days'")
    async with shop.database.transaction() as erasing:
        await erasing.execute("DELETE FROM webhook_messages WHERE uid = $1", messages[1].uid)
        async with shop.database.transaction() as tx:
            assert await webhook_messages.purge(tx, 3) == 2
    assert await shop.states() == []
