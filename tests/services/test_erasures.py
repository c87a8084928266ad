"""The erasure of a user in each service that locks what events about others need too."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from meshwright.identity.v1.events_pb import UserDeleted

from local.nats import Nats
from mesh.database import Connection, Database
from mesh.events import Broker, Inbox, connect, inbox_table
from mesh.events.envelope import Envelope
from mesh.events.nats.provision import provision
from services.orders import consumers as orders
from services.orders.erasure_storage import ERASED_CUSTOMERS
from services.payments import storage as payments
from services.payments.consumers import Consumers as PaymentsConsumers
from services.recommendations import consumers as recommendations
from services.recommendations import erasure_storage
from tests.broker import ADMIN

INBOXES: dict[str, Callable[[Database, Broker], Inbox]] = {
    "orders": orders.inbox,
    "payments": PaymentsConsumers("cards/visa").inbox,
    "recommendations": recommendations.inbox,
}
LOCKS: dict[str, Callable[[Connection, str], Awaitable[object]]] = {
    "orders": partial(ERASED_CUSTOMERS.lock, shared=True),
    "payments": partial(payments.ERASED_CUSTOMERS.lock, shared=True),
    "recommendations": erasure_storage.is_erased,
}


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker that knows no events: those of the tests are in the inbox already."""
    async with Nats(tmp_path / "nats", [ADMIN]) as server:
        await provision(server.url(ADMIN.name), [], {})
        async with connect(server.url(ADMIN.name), "test") as connected:
            yield connected


@pytest.mark.parametrize("service", INBOXES)
async def test_an_erasure_that_waits_keeps_no_other_event_waiting(
    open_database: Callable[..., Awaitable[Database]], broker: Broker, service: str
) -> None:
    """It has a transaction of its own, while that of a batch would lock several users in any order."""
    database = await open_database(service)
    async with database.transaction() as tx:
        await inbox_table.store(tx, [deleted("users/ada"), deleted("users/eve")])
    async with AsyncExitStack() as stack:
        async with database.transaction() as tx, asyncio.timeout(20):
            await LOCKS[service](tx, "users/ada")
            await stack.enter_async_context(INBOXES[service](database, broker))
            await until_done(database, "users/eve")
            assert await tries(database, "users/ada") == 0
        async with asyncio.timeout(20):
            await until_done(database, "users/ada")


def deleted(user: str) -> Envelope:
    """Returns the event of a deleted user."""
    message = UserDeleted(user=user)
    now = datetime.now(UTC)
    return Envelope(user, message.desc().type_name, "identity", user, now, message.to_binary(), traceparent=None)


async def until_done(database: Database, user: str) -> None:
    """Waits until the event about a user is handled."""
    done = False
    while not done:
        await asyncio.sleep(0.02)
        async with database.transaction() as tx:
            done = await tx.fetchval("SELECT state = 'done' FROM mesh.inbox WHERE aggregate = $1", user)


async def tries(database: Database, user: str) -> int:
    """Returns how often the event about a user was tried in vain."""
    async with database.transaction() as tx:
        count: int = await tx.fetchval("SELECT attempts FROM mesh.inbox WHERE aggregate = $1", user)
        return count
