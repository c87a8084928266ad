"""The reactions of orders to events of other services, and the events that orders publishes."""

from uuid import uuid4

import pytest
from googleapis.google.type.money_pb import Money
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.inventory.v1.inventory_pb import Reservation
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped, PaymentRequested
from meshwright.orders.v1.orders_pb import Order, ShipmentEvent
from protobuf.wkt import Timestamp

from mesh.errors import Aborted, FailedPrecondition, MeshError, NotFound, PermissionDenied, Unavailable
from services.orders.clients import Inventory
from services.orders.domain import Order as DomainOrder
from tests.services.orders.shop import CUSTOMER_SCOPES, STAFF_SCOPES, Shop

STEP = Order.PendingStep
ONE_EURO = Money(currency_code="EUR", units=1)


async def test_an_order_is_paid_and_shipped(shop: Shop) -> None:
    """Each step is published with the order after it."""
    placed = await shop.create(("products/spade", 1), payment_method="card_ok")
    assert (placed.state, placed.pending_step, placed.payment_method) == (Order.State.PENDING, STEP.STOCK, "card_ok")
    await shop.reserve(placed)
    charged = await shop.get(placed.name)
    assert (charged.state, charged.pending_step) == (Order.State.PENDING, STEP.PAYMENT)
    await shop.capture(placed)
    confirmed = await shop.get(placed.name)
    assert (confirmed.state, confirmed.pending_step) == (Order.State.CONFIRMED, STEP.UNSPECIFIED)
    assert confirmed.payment == f"payments/{placed.uid}"
    shipped = await shop.ship(placed.name, etag=confirmed.etag)
    assert await shop.events() == [
        OrderPlaced(order=placed),
        PaymentRequested(order=charged),
        OrderConfirmed(order=confirmed),
        OrderShipped(order=shipped),
    ]


async def test_repeated_events_change_nothing(shop: Shop) -> None:
    """Each of them is handled again after each other; the order stays as the first ones left it."""
    placed = await shop.create_confirmed()
    confirmed = await shop.get(placed.name)
    for handle in (shop.reserve, shop.hold, shop.capture, shop.fail):
        await handle(placed)
    await shop.reject(placed, Reservation.State.EXPIRED, missing=False)
    assert await shop.get(placed.name) == confirmed
    assert await shop.event_types() == [OrderPlaced, PaymentRequested, OrderConfirmed]


async def test_missing_products_cancel_an_order(shop: Shop) -> None:
    """Nobody is asked to charge."""
    placed = await shop.create(("products/spade", 2))
    await shop.reject(placed)
    cancelled = await shop.get(placed.name)
    assert (cancelled.state, cancelled.cancel_reason) == (Order.State.CANCELLED, Order.CancelReason.OUT_OF_STOCK)
    await shop.reserve(placed)
    assert await shop.events() == [OrderPlaced(order=placed), OrderCancelled(order=cancelled)]


async def test_a_paid_order_is_cancelled_if_its_products_are_gone(shop: Shop) -> None:
    """Its reservation expired, and could not be made again; OrderCancelled makes payments refund it."""
    placed = await shop.create_confirmed()
    await shop.reject(placed, Reservation.State.EXPIRED)
    assert (await shop.get(placed.name)).cancel_reason is Order.CancelReason.OUT_OF_STOCK
    assert (await shop.event_types())[-1] is OrderCancelled


async def test_an_expired_reservation_cancels_an_order_that_is_not_paid(shop: Shop) -> None:
    """Unless its payment is under review: the products are reserved again when it is confirmed."""
    waiting, reviewed = [await shop.create(("products/spade", 1)) for _ in range(2)]
    for each in (waiting, reviewed):
        await shop.reserve(each)
    await shop.hold(reviewed)
    for each in (waiting, reviewed):
        await shop.reject(each, Reservation.State.EXPIRED, missing=False)
    assert (await shop.get(waiting.name)).cancel_reason is Order.CancelReason.TIMED_OUT
    assert (await shop.get(reviewed.name)).pending_step is STEP.PAYMENT_REVIEW
    await shop.capture(reviewed)
    assert (await shop.get(reviewed.name)).state is Order.State.CONFIRMED


async def test_a_failed_payment_cancels_an_order(shop: Shop) -> None:
    """OrderCancelled makes inventory release the products."""
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    await shop.hold(placed)
    assert (await shop.get(placed.name)).pending_step is STEP.PAYMENT_REVIEW
    await shop.fail(placed)
    assert (await shop.get(placed.name)).cancel_reason is Order.CancelReason.PAYMENT_FAILED
    assert await shop.event_types() == [OrderPlaced, PaymentRequested, OrderCancelled]


async def test_a_late_capture_does_not_revive_an_order(shop: Shop) -> None:
    """It stays cancelled; what payments refunds is recorded."""
    placed = await shop.create(("products/spade", 1))
    await shop.reserve(placed)
    cancelled = await shop.cancel(placed.name)
    await shop.capture(placed)
    assert await shop.get(placed.name) == cancelled
    assert placed.total is not None
    await shop.refund(placed, placed.total)
    assert (await shop.get(placed.name)).refunded == placed.total
    assert await shop.event_types() == [OrderPlaced, PaymentRequested, OrderCancelled]


async def test_a_confirmed_order_is_cancelled(shop: Shop) -> None:
    """Its customer may do so until it is shipped."""
    placed = await shop.create_confirmed()
    cancelled = await shop.cancel(placed.name)
    assert (cancelled.state, cancelled.cancel_reason) == (Order.State.CANCELLED, Order.CancelReason.CUSTOMER)
    assert (await shop.event_types())[-1] is OrderCancelled


async def test_a_refund_changes_no_state(shop: Shop) -> None:
    """Its sum is in the order, nothing is published, and the list of changes does not have it."""
    placed = await shop.create_confirmed()
    await shop.refund(placed, ONE_EURO)
    refunded = await shop.get(placed.name)
    assert (refunded.state, refunded.refunded) == (Order.State.CONFIRMED, ONE_EURO)
    assert len(await shop.events()) == len(await shop.changes(placed.name)) == 3


async def test_events_about_unknown_orders_are_ignored(shop: Shop) -> None:
    """Dead letters would call for an operator, who could do nothing either."""
    for name in (f"orders/{uuid4()}", "orders/1", ""):
        await shop.reserve(Order(name=name))
        await shop.capture(Order(name=name))
    assert await shop.events() == []


async def test_every_change_is_listed(shop: Shop) -> None:
    """With who made it, page by page, the oldest first."""
    placed = await shop.create_confirmed()
    await shop.cancel(placed.name, subject="users/boss", scopes=STAFF_SCOPES)
    changes = await shop.changes(placed.name, size=3)
    assert [(each.actor, each.state, each.pending_step) for each in changes] == [
        ("users/ada", Order.State.PENDING, STEP.STOCK),
        ("inventory", Order.State.PENDING, STEP.PAYMENT),
        ("payments", Order.State.CONFIRMED, STEP.UNSPECIFIED),
        ("users/boss", Order.State.CANCELLED, STEP.UNSPECIFIED),
    ]
    assert changes[0].reason == "The order was placed."
    assert changes[-1].reason == "Staff cancelled the order."
    assert changes[0].change_time == placed.create_time
    with pytest.raises(NotFound):
        await shop.changes(placed.name, subject="users/eve")


async def test_an_order_is_shipped_once(shop: Shop) -> None:
    """The same shipment again is no change, another one an error."""
    placed = await shop.create_confirmed()
    shipped = await shop.ship(placed.name)
    assert shipped.shipment is not None
    assert (shipped.shipment.carrier, shipped.shipment.tracking_number) == ("DHL", "0815")
    assert shipped.shipment.ship_time == shipped.update_time
    assert await shop.ship(placed.name, etag="1") == shipped
    with pytest.raises(FailedPrecondition):
        await shop.ship(placed.name, "0816")
    assert (await shop.event_types()).count(OrderShipped) == 1


async def test_products_leave_the_stock_before_they_are_shipped(shop: Shop) -> None:
    """Even if inventory has not handled OrderConfirmed yet. If they are gone, or inventory is, nothing is shipped."""
    placed = await shop.create_confirmed()
    for failure, expected in (
        (FailedPrecondition("expired", reason="RESERVATION_STATE"), "ORDER_NOT_IN_STOCK"),
        (Unavailable("away"), "INVENTORY_UNAVAILABLE"),
    ):
        shop.others.commit_failure = failure
        with pytest.raises(type(failure)) as caught:
            await shop.ship(placed.name)
        assert caught.value.reason == expected
    assert (await shop.get(placed.name)).state is Order.State.CONFIRMED
    shop.others.commit_failure = None
    for _ in range(2):
        await shop.ship(placed.name)
    assert shop.others.committed == [placed.name]


async def test_an_order_that_is_cancelled_while_it_is_shipped_has_its_state_as_the_reason(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its products are not missing: inventory has put them back before it is asked for them."""
    placed = await shop.create_confirmed()
    commit = Inventory.commit

    async def cancel_first(inventory: Inventory, order: DomainOrder) -> None:
        await shop.cancel(placed.name)
        await commit(inventory, order)

    monkeypatch.setattr(Inventory, "commit", cancel_first)
    shop.others.commit_failure = FailedPrecondition("released", reason="RESERVATION_STATE")
    with pytest.raises(FailedPrecondition) as caught:
        await shop.ship(placed.name)
    assert (caught.value.reason, caught.value.metadata) == ("ORDER_STATE", {"state": "CANCELLED"})


async def test_an_order_is_not_shipped_by_a_stale_etag(shop: Shop) -> None:
    """It may have been cancelled meanwhile."""
    placed = await shop.create_confirmed()
    with pytest.raises(Aborted):
        await shop.ship(placed.name, etag="1")


async def test_only_staff_ships(shop: Shop) -> None:
    """And records events, and lists stuck orders."""
    placed = await shop.create_confirmed()
    for call in (
        shop.ship(placed.name, scopes=CUSTOMER_SCOPES),
        shop.record(placed.name, ShipmentEvent(kind=ShipmentEvent.Kind.DELIVERED), scopes=CUSTOMER_SCOPES),
        shop.stuck(scopes=CUSTOMER_SCOPES),
    ):
        with pytest.raises(PermissionDenied):
            await call


async def test_events_of_a_shipment_are_the_oldest_first(shop: Shop) -> None:
    """Events are sorted by their time and not by the order of the reports; an event without a time happens now."""
    placed = await shop.create_confirmed()
    await shop.ship(placed.name)
    early = Timestamp(seconds=1_700_000_000)
    delivered = ShipmentEvent(kind=ShipmentEvent.Kind.DELIVERED, description="Leipzig")
    await shop.record(placed.name, delivered)
    order = await shop.record(placed.name, ShipmentEvent(kind=ShipmentEvent.Kind.IN_TRANSIT, event_time=early))
    assert order == await shop.get(placed.name)
    assert order.shipment is not None
    assert [(each.kind, each.description) for each in order.shipment.events] == [
        (ShipmentEvent.Kind.IN_TRANSIT, ""),
        (ShipmentEvent.Kind.DELIVERED, "Leipzig"),
    ]
    assert order.shipment.events[0].event_time == early


async def test_an_event_of_a_shipment_is_recorded_once(shop: Shop) -> None:
    """For each request_id."""
    placed = await shop.create_confirmed()
    await shop.ship(placed.name)
    request_id, event = str(uuid4()), ShipmentEvent(kind=ShipmentEvent.Kind.DELIVERED)
    first = await shop.record(placed.name, event, request_id)
    assert await shop.record(placed.name, event, request_id) == first
    assert first.shipment is not None
    assert len(first.shipment.events) == 1


async def test_an_order_without_a_shipment_has_no_events(shop: Shop) -> None:
    """The error names the state."""
    placed = await shop.create(("products/spade", 1))
    with pytest.raises(FailedPrecondition) as caught:
        await shop.record(placed.name, ShipmentEvent(kind=ShipmentEvent.Kind.DELIVERED))
    assert caught.value.metadata == {"state": "PENDING"}


async def test_orders_that_wait_for_too_long_are_listed(shop: Shop) -> None:
    """Those that have waited longest first, each after the limit of its step."""
    waiting = [await shop.create(("products/spade", 1)) for _ in range(5)]
    for each in waiting[2:]:
        await shop.reserve(each)
    await shop.hold(waiting[4])
    minutes = [1.1, 5, 1.9, 2.1, 1000]
    for each, minute in zip(waiting, minutes, strict=True):
        await shop.age(each, minute)
    assert await shop.stuck(1) == [waiting[1].name, waiting[3].name, waiting[0].name]
    await shop.cancel(waiting[1].name)
    assert await shop.stuck() == [waiting[3].name, waiting[0].name]


async def test_a_watched_order_is_seen_at_another_replica(shop: Shop) -> None:
    """A stream begins with the order as it is, follows it, and ends with the final state."""
    placed = await shop.create(("products/spade", 1))
    async with shop.replica() as other, other.watch(placed.name) as watch:
        assert await watch.next() == placed
        await shop.reserve(placed)
        assert (await watch.next()).pending_step is STEP.PAYMENT
        cancelled = await shop.cancel(placed.name)
        assert await watch.next() == cancelled
        assert await watch.ended()


async def test_a_lost_stream_resumes_at_another_replica(shop: Shop) -> None:
    """The replica dies; at another one only what happened since then is streamed."""
    placed = await shop.create(("products/spade", 1))
    async with shop.replica() as other, other.watch(placed.name) as watch:
        await watch.next()
    await shop.reserve(placed)
    async with shop.watch(placed.name, watch.resume_token) as resumed:
        assert (await resumed.next()).pending_step is STEP.PAYMENT
        await shop.cancel(placed.name)
        assert (await resumed.next()).state is Order.State.CANCELLED
        assert await resumed.ended()
    async with shop.watch(placed.name, resumed.resume_token) as ended:
        assert await ended.ended()


async def test_an_order_of_somebody_else_is_not_watched(shop: Shop) -> None:
    """Another customer's order can't be watched, nor by a token of another order's stream."""
    placed, another = [await shop.create(("products/spade", 1)) for _ in range(2)]
    with pytest.raises(NotFound):
        async with shop.watch(placed.name, subject="users/eve") as watch:
            await watch.next()
    async with shop.watch(placed.name) as watch:
        await watch.next()
    with pytest.raises(MeshError) as caught:
        async with shop.watch(another.name, watch.resume_token) as watch:
            await watch.next()
    assert caught.value.reason == "RESUME_TOKEN_INVALID"


async def test_a_deleted_customer_leaves_sales_only(shop: Shop) -> None:
    """Pending orders are cancelled. The customer's name stays where something was sold, and nowhere else."""
    pending, cancelled, sold, refunded = [
        await shop.create(("products/spade", 1)),
        await shop.create(("products/spade", 1)),
        await shop.create_confirmed(),
        await shop.create_confirmed(),
    ]
    for each in (cancelled, refunded):
        await shop.cancel(each.name)
    another = await shop.create(("products/spade", 1), subject="users/bob")
    for _ in range(2):
        await shop.consume(UserDeleted(user="users/ada"), "identity")
    found = [
        await shop.get(each.name, subject="users/boss", scopes=STAFF_SCOPES)
        for each in (pending, cancelled, sold, refunded)
    ]
    assert [each.customer for each in found] == ["", "", "users/ada", "users/ada"]
    assert found[0].cancel_reason is Order.CancelReason.CUSTOMER_DELETED
    assert found[2].state is Order.State.CONFIRMED
    [placed, ended] = await shop.changes(pending.name, subject="users/boss", scopes=STAFF_SCOPES)
    assert (placed.actor, ended.actor) == ("", "identity")
    assert (await shop.events())[-1] == OrderCancelled(order=before_erasure(found[0], "users/ada"))
    assert await shop.get(another.name, subject="users/bob") == another


def before_erasure(order: Order, customer: str) -> Order:
    """Returns an order as it was one version before its customer's name was removed."""
    changed = Order.from_binary(order.to_binary())
    changed.customer, changed.etag = customer, str(int(order.etag) - 1)
    return changed
