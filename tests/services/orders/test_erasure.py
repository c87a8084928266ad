"""The erasure of customers while their orders are placed and changed."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.orders_pb import Order

from mesh import erased_users
from mesh.errors import Aborted, Unauthenticated
from mesh.money import Money
from services.orders import domain as orders
from services.orders import erasure_storage, saga, storage
from tests.limited_statements import limit_statements
from tests.lock_waits import lock_waits
from tests.services.orders.shop import STAFF_SCOPES, Shop

PATIENCE_S = 20.0
BUYERS = 24
LINE = orders.OrderLine("products/spade", "Spade", 1, Money("EUR", 1999))


async def delete_ada(shop: Shop) -> None:
    """Handles that a customer was deleted, again while her orders are locked, as the inbox does."""
    while True:
        try:
            await shop.consume(UserDeleted(user="users/ada"), "identity")
        except Aborted:
            await asyncio.sleep(0.01)
        else:
            return


async def traces(shop: Shop) -> set[str]:
    """Returns the tables of the service that name the customer, besides those of events."""
    async with shop.database.transaction() as tx:
        tables = ["orders", "order_lines", "order_changes", "shipment_events", "mesh.answers"]
        query = " UNION ".join(
            f"SELECT '{each}' FROM {each} AS row WHERE row::text LIKE '%users/ada%'" for each in tables
        )
        return {row[0] for row in await tx.fetch(query)}


async def test_no_order_is_placed_after_its_customer_was_deleted(shop: Shop) -> None:
    """An order by a deleted customer is rejected even if the token is still valid. Other customers are not affected."""
    await delete_ada(shop)
    with pytest.raises(Unauthenticated) as caught:
        await shop.create(("products/spade", 1), request_id=str(uuid4()))
    assert caught.value.reason == "TOKEN_REVOKED"
    assert await shop.create(("products/spade", 1), subject="users/bob")
    assert await traces(shop) == set()


async def test_orders_placed_during_a_deletion_are_cancelled_or_rejected(shop: Shop) -> None:
    """Of many concurrent ones, none stays pending or keeps the customer's name."""

    async def buy() -> Order | None:
        try:
            return await shop.create(("products/spade", 1), request_id=str(uuid4()))
        except Unauthenticated:
            return None

    first = await shop.create(("products/spade", 1))
    buyers = [asyncio.create_task(buy()) for _ in range(BUYERS)]
    await asyncio.wait(buyers, return_when=asyncio.FIRST_COMPLETED)
    await delete_ada(shop)
    placed = [order for order in await asyncio.gather(*buyers) if order is not None]
    for order in (first, *placed):
        found = await shop.get(order.name, subject="users/boss", scopes=STAFF_SCOPES)
        assert (found.state, found.customer) == (Order.State.CANCELLED, "")
    assert await traces(shop) == set()


async def test_a_deletion_waits_for_an_order_that_is_being_placed(shop: Shop) -> None:
    """The order is committed after the deletion began, and is cancelled by it."""
    async with shop.database.transaction() as tx:
        await erasure_storage.ERASED_CUSTOMERS.lock(tx, "users/ada", shared=True)
        assert not await erasure_storage.ERASED_CUSTOMERS.contains(tx, "users/ada")
        deletion = asyncio.create_task(delete_ada(shop))
        async with asyncio.timeout(PATIENCE_S):
            while not await lock_waits(shop.database):
                await asyncio.sleep(0.01)
        order = orders.Order.place(uuid4(), "users/ada", (LINE,), datetime.now(UTC))
        await saga.begin(tx, order)
    await deletion
    assert (await shop.get(order.name, subject="users/boss", scopes=STAFF_SCOPES)).state is Order.State.CANCELLED


async def test_a_deletion_does_not_deadlock_with_a_batch_of_events(shop: Shop) -> None:
    """A deletion that would deadlock with a batch of events of the same customer is rolled back and retried."""
    first, second = sorted([await shop.create(("products/spade", 1)) for _ in range(2)], key=lambda each: each.uid)
    async with shop.database.transaction() as tx:
        await storage.find(tx, UUID(second.uid), lock=True)
        with pytest.raises(Aborted):
            await shop.consume(UserDeleted(user="users/ada"), "identity")
        await storage.find(tx, UUID(first.uid), lock=True)
    assert (await shop.get(first.name)).state is Order.State.PENDING
    await delete_ada(shop)
    assert await traces(shop) == set()


async def test_an_order_without_its_customer_is_another_version(shop: Shop) -> None:
    """A cache of staff that asks with the etag gets the order without the name."""
    order = await shop.create(("products/spade", 1))
    await shop.cancel(order.name)
    before = await shop.get(order.name, subject="users/boss", scopes=STAFF_SCOPES)
    await delete_ada(shop)
    after = await shop.get(order.name, subject="users/boss", scopes=STAFF_SCOPES)
    assert (before.customer, after.customer) == ("users/ada", "")
    assert after.etag != before.etag


async def test_deleted_staff_leave_the_history_without_a_name(shop: Shop) -> None:
    """The changes that they made to the orders of customers stay, and changes by customers keep their name."""
    order = await shop.create(("products/spade", 1))
    await shop.cancel(order.name, subject="users/boss", scopes=STAFF_SCOPES)
    await shop.consume(UserDeleted(user="users/boss"), "identity")
    changes = await shop.changes(order.name)
    assert [(each.actor, each.state) for each in changes] == [
        ("users/ada", Order.State.PENDING),
        ("users/-", Order.State.CANCELLED),
    ]


async def test_a_customer_of_many_orders_is_erased_in_parts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement has so much to do that its time limit ends the erasure, at each try."""
    monkeypatch.setattr(erased_users, "ERASED_PER_STATEMENT_MAX", 2)
    for _ in range(5):
        await shop.cancel((await shop.create(("products/spade", 1))).name)
        await shop.create_confirmed()
    for table in ("orders", "order_changes"):
        await limit_statements(shop.database, table, 4)  # each order has two changes
    await delete_ada(shop)
    async with shop.database.transaction() as tx:
        orders = await tx.fetch("SELECT state, customer, customer_deleted FROM orders ORDER BY create_time")
        actors = await tx.fetch(
            "SELECT DISTINCT actor FROM order_changes JOIN orders ON uid = order_uid AND customer = ''"
        )
    assert [tuple(row) for row in orders] == [("cancelled", "", False), ("confirmed", "users/ada", True)] * 5
    assert [tuple(row) for row in actors] == [("",)]


async def test_staff_who_changed_many_orders_are_erased_in_parts(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement has so much to do that its time limit ends the erasure, at each try."""
    monkeypatch.setattr(erased_users, "ERASED_PER_STATEMENT_MAX", 2)
    for _ in range(5):
        order = await shop.create(("products/spade", 1))
        await shop.cancel(order.name, subject="users/boss", scopes=STAFF_SCOPES)
    await limit_statements(shop.database, "order_changes", 2)
    await shop.consume(UserDeleted(user="users/boss"), "identity")
    async with shop.database.transaction() as tx:
        rows = await tx.fetch("SELECT actor, count(*) AS changes FROM order_changes GROUP BY actor ORDER BY actor")
    assert [tuple(row) for row in rows] == [("users/-", 5), ("users/ada", 5)]


async def test_no_order_is_changed_by_a_deleted_user(shop: Shop) -> None:
    """Even with a token that is still valid, so that no history names the user again."""
    order = await shop.create(("products/spade", 1))
    await shop.consume(UserDeleted(user="users/boss"), "identity")
    with pytest.raises(Unauthenticated) as caught:
        await shop.cancel(order.name, subject="users/boss", scopes=STAFF_SCOPES)
    assert caught.value.reason == "TOKEN_REVOKED"
    assert (await shop.get(order.name)).state is Order.State.PENDING


async def test_events_about_sold_orders_do_not_name_a_deleted_customer(shop: Shop) -> None:
    """Others erase the name as well, and forget after some weeks that they did: a later event would bring it back. The
    order itself keeps it for the accounts.
    """
    shipped, cancelled = [await shop.create_confirmed() for _ in range(2)]
    others = await shop.create_confirmed(subject="users/eve")
    await delete_ada(shop)
    for order in (shipped, others):
        await shop.ship(order.name)
    await shop.cancel(cancelled.name, subject="users/boss", scopes=STAFF_SCOPES)
    named = [event.order and event.order.customer for event in (await shop.events())[-3:]]
    assert named == ["", "users/eve", ""]
    for order in (shipped, cancelled):
        assert (await shop.get(order.name, subject="users/boss", scopes=STAFF_SCOPES)).customer == "users/ada"


async def test_a_deletion_does_not_wait_for_a_sold_order(shop: Shop) -> None:
    """Whoever has locked one may wait for what the deletion has locked, so that it is rolled back and retried."""
    order = await shop.create_confirmed()
    async with shop.database.transaction() as tx:
        await storage.find(tx, UUID(order.uid), lock=True)
        with pytest.raises(Aborted):
            await shop.consume(UserDeleted(user="users/ada"), "identity")
    await delete_ada(shop)
    await shop.ship(order.name)
    [*_, shipped] = await shop.events()
    assert shipped.order is not None
    assert shipped.order.customer == ""
