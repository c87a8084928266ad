"""InventoryService over real channels, with a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from meshwright.inventory.v1.inventory_grpc import InventoryServiceClient
from meshwright.inventory.v1.inventory_pb import (
    Adjustment,
    AdjustStockRequest,
    BatchAdjustStockRequest,
    CommitRequest,
    GetAvailabilityRequest,
    GetStockRequest,
    ListAdjustmentsRequest,
    ListReorderProposalsRequest,
    ListStockRequest,
    OrderedUnits,
    ReleaseRequest,
    Reservation,
    ReserveRequest,
    Stock,
    UpdateStockRequest,
    WatchLowStockRequest,
)
from protobuf.wkt import FieldMask

from mesh.client import Channel
from mesh.database import Database
from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from services.inventory import erasure_storage, product_change_storage, product_changes, storage
from services.inventory.handlers import InventoryHandlers
from tests.given_token import GivenToken
from tests.issuer import Issuer
from tests.lock_waits import lock_waits
from tests.services.calls import acting_with, channel_to, serving
from tests.services.inventory.warehouse import NOW

PRODUCTS = [f"products/{UUID(int=number)}" for number in range(5)]
SAW = PRODUCTS[0]


@pytest.fixture
def issuer() -> Issuer:
    """The issuer of the tokens of this test."""
    return Issuer()


@pytest.fixture
async def port(issuer: Issuer, database: Database) -> AsyncIterator[int]:
    """The port of the running service."""
    async with serving(issuer, InventoryHandlers(database, timedelta(minutes=30), watch_every_s=0.05)) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[InventoryServiceClient]:
    """A client of the service."""
    async with channel_to(port, "inventory") as channel:
        yield InventoryServiceClient(channel)


@pytest.fixture
async def orders(issuer: Issuer, port: int) -> AsyncIterator[InventoryServiceClient]:
    """The client that the orders service has."""
    token = GivenToken(issuer.token("workloads/orders"))
    async with Channel("inventory", f"127.0.0.1:{port}", tokens=token) as channel:
        yield InventoryServiceClient(channel)


@pytest.fixture
def staff(issuer: Issuer) -> Iterator[None]:
    """Calls are made by staff."""
    with acting_with(issuer.token("users/eve", "inventory.read inventory.write")):
        yield


def request(product: str, delta: int, request_id: str = "") -> AdjustStockRequest:
    """Returns a request that adjusts a product's stock."""
    adjustment = Adjustment(delta=delta, reason=Adjustment.Reason.RECEIVED, note="Monday's lorry")
    return AdjustStockRequest(name=f"{product}/stock", adjustment=adjustment, request_id=request_id)


@pytest.mark.usefixtures("staff")
async def test_units_are_added_and_taken_away(client: InventoryServiceClient) -> None:
    """Each adjustment is recorded with who made it and why, and no more is taken than is there."""
    assert (await client.get_stock(GetStockRequest(name=f"{SAW}/stock"))).on_hand == 0
    await client.adjust_stock(request(SAW, 10))
    stock = await client.adjust_stock(request(SAW, -3))
    assert (stock.on_hand, stock.reserved, stock.available, stock.product) == (7, 0, 7, SAW)
    with pytest.raises(FailedPrecondition) as caught:
        await client.adjust_stock(request(SAW, -8))
    assert (caught.value.reason, caught.value.metadata["available"]) == ("STOCK_SHORT", "7")
    listed = await client.list_adjustments(ListAdjustmentsRequest(parent=f"{SAW}/stock", page_size=1))
    assert [(each.delta, each.actor, each.note) for each in listed.adjustments] == [(-3, "users/eve", "Monday's lorry")]
    listed = await client.list_adjustments(
        ListAdjustmentsRequest(parent=f"{SAW}/stock", page_token=listed.next_page_token)
    )
    assert [each.delta for each in listed.adjustments] == [10]


@pytest.mark.usefixtures("staff")
async def test_a_repeated_adjustment_counts_once(client: InventoryServiceClient) -> None:
    """Two adjustments with the same request_id count once."""
    request_id = str(uuid4())
    for _ in range(2):
        assert (await client.adjust_stock(request(SAW, 5, request_id))).on_hand == 5


@pytest.mark.usefixtures("staff")
async def test_a_deleted_user_adjusts_nothing(client: InventoryServiceClient, database: Database) -> None:
    """Also with a token that is still valid: an adjustment that arrives after the erasure leaves no name."""
    batch = BatchAdjustStockRequest(requests=[request(SAW, 2)], request_id=str(uuid4()))
    async with database.transaction() as tx:
        await erasure_storage.erase(tx, "users/eve")
    for adjustment in (client.adjust_stock(request(SAW, 1, str(uuid4()))), client.batch_adjust_stock(batch)):
        with pytest.raises(Unauthenticated) as caught:
            await adjustment
        assert caught.value.reason == "TOKEN_REVOKED"
    async with database.transaction() as tx:
        for table in ("adjustments", "stock", "mesh.answers"):
            assert await tx.fetchval(f"SELECT count(*) FROM {table}") == 0, table


@pytest.mark.usefixtures("staff")
async def test_an_erasure_waits_for_an_adjustment_that_is_being_made(
    client: InventoryServiceClient, database: Database
) -> None:
    """An adjustment that is recorded while the user is being erased loses the name too."""
    async with database.transaction() as tx:
        await erasure_storage.ERASED_USERS.lock(tx, "users/eve", shared=True)
        assert not await erasure_storage.ERASED_USERS.contains(tx, "users/eve")
        erasure = asyncio.create_task(_erase(database, "users/eve"))
        while not await lock_waits(database):
            await asyncio.sleep(0.01)
        await storage.lock_all(tx, [SAW], NOW)
        await storage.insert_adjustments(tx, [storage.Adjustment(SAW, 1, "RECEIVED", "", "users/eve", NOW)])
    await erasure
    listed = await client.list_adjustments(ListAdjustmentsRequest(parent=f"{SAW}/stock"))
    assert [each.actor for each in listed.adjustments] == [""]


async def _erase(database: Database, user: str) -> None:
    async with database.transaction() as tx:
        await erasure_storage.erase(tx, user)


@pytest.mark.usefixtures("staff")
async def test_many_products_are_adjusted_at_once(client: InventoryServiceClient) -> None:
    """All or none of them; a product that is named twice is an error of its request."""
    batch = BatchAdjustStockRequest(requests=[request(product, 5) for product in PRODUCTS])
    assert [each.on_hand for each in (await client.batch_adjust_stock(batch)).stock] == [5] * 5
    short = BatchAdjustStockRequest(requests=[request(PRODUCTS[0], 5), request(PRODUCTS[1], -6)])
    with pytest.raises(FailedPrecondition):
        await client.batch_adjust_stock(short)
    assert (await client.get_stock(GetStockRequest(name=f"{SAW}/stock"))).on_hand == 5
    twice = BatchAdjustStockRequest(requests=[request(SAW, 1), request(PRODUCTS[1], 1), request(SAW, 1)])
    with pytest.raises(InvalidArgument) as caught:
        await client.batch_adjust_stock(twice)
    assert [violation.field for violation in caught.value.violations] == ["requests[2].name"]


@pytest.mark.usefixtures("staff")
async def test_what_runs_low_is_listed_and_proposed(client: InventoryServiceClient) -> None:
    """A page at a time; a stale etag is ABORTED."""
    for product in PRODUCTS:
        await client.adjust_stock(request(product, 3))
    stock = await client.get_stock(GetStockRequest(name=f"{SAW}/stock"))
    patch = Stock(name=stock.name, reorder_level=5, reorder_quantity=4, etag=stock.etag)
    update = UpdateStockRequest(stock=patch, update_mask=FieldMask(paths=["reorder_level", "reorder_quantity"]))
    assert (await client.update_stock(update)).reorder_level == 5
    with pytest.raises(Aborted):
        await client.update_stock(update)
    low = await client.list_stock(ListStockRequest(low_only=True))
    assert [each.product for each in low.stock] == [SAW]
    proposals = await client.list_reorder_proposals(ListReorderProposalsRequest())
    assert [(each.product, each.quantity) for each in proposals.proposals] == [(SAW, 4)]
    first = await client.list_stock(ListStockRequest(page_size=3))
    second = await client.list_stock(ListStockRequest(page_size=3, page_token=first.next_page_token))
    assert [each.product for each in (*first.stock, *second.stock)] == PRODUCTS
    assert second.next_page_token == ""


@pytest.mark.usefixtures("staff")
async def test_nothing_of_a_deleted_product_can_be_ordered(client: InventoryServiceClient, database: Database) -> None:
    """Staff still see its stock, and customers do once it comes back."""
    await client.adjust_stock(request(SAW, 5))
    for deleted, units in ((True, 0), (False, 5)):
        await _delete(database, SAW, deleted=deleted)
        assert (await client.get_availability(GetAvailabilityRequest(name=f"{SAW}/availability"))).units == units
        assert (await client.get_stock(GetStockRequest(name=f"{SAW}/stock"))).available == 5


async def test_anyone_sees_what_can_be_ordered(client: InventoryServiceClient, issuer: Issuer) -> None:
    """But not how much there is; the stock is for staff."""
    with acting_with(issuer.token("users/eve", "inventory.read inventory.write")):
        await client.adjust_stock(request(SAW, 5000))
    assert (await client.get_availability(GetAvailabilityRequest(name=f"{SAW}/availability"))).units == 100
    assert (await client.get_availability(GetAvailabilityRequest(name=f"{PRODUCTS[1]}/availability"))).units == 0
    with pytest.raises(NotFound):
        await client.get_availability(GetAvailabilityRequest(name="products/none/availability"))
    with acting_with(issuer.token("users/ada", "orders.read")), pytest.raises(PermissionDenied):
        await client.get_stock(GetStockRequest(name=f"{SAW}/stock"))


@pytest.mark.usefixtures("staff")
async def test_low_stock_is_watched(client: InventoryServiceClient) -> None:
    """The stream contains products that are low, become low or are refilled, and resumes after the last response."""
    await client.adjust_stock(request(SAW, 2))
    await client.adjust_stock(request(SAW, -2))
    async with client.watch_low_stock(WatchLowStockRequest()) as stream:
        first = await anext(stream)
        assert (first.stock is not None and first.stock.product, first.low) == (SAW, True)
        await client.adjust_stock(request(SAW, 2))
        refilled = await anext(stream)
        assert refilled.low is False
    await client.adjust_stock(request(SAW, -2))
    async with client.watch_low_stock(WatchLowStockRequest(resume_token=refilled.resume_token)) as stream:
        assert (await anext(stream)).low is True


@pytest.mark.usefixtures("staff")
async def test_a_stream_of_low_stock_begins_with_what_is_low(client: InventoryServiceClient) -> None:
    """Also with products that never were in stock, and more than are read at once, but not with refilled ones. It is
    the same when the stream is lost on the way.
    """
    await client.batch_adjust_stock(BatchAdjustStockRequest(requests=[request(product, 5) for product in PRODUCTS]))
    new = [f"products/{UUID(int=number)}" for number in range(100, 100 + storage.LOW_CHANGES_MAX + 20)]
    for product in new:
        await client.update_stock(UpdateStockRequest(stock=Stock(name=f"{product}/stock", reorder_level=3)))
    await client.adjust_stock(request(new[1], 4))
    seen, token = [], ""
    for count in (7, len(new) - 8):
        async with client.watch_low_stock(WatchLowStockRequest(resume_token=token)) as stream:
            for _ in range(count):
                response = await anext(stream)
                assert response.low
                assert response.stock is not None
                seen.append(response.stock.product)
                token = response.resume_token
    assert seen == [product for product in new if product != new[1]]
    async with client.watch_low_stock(WatchLowStockRequest(resume_token=token)) as stream:
        await client.adjust_stock(request(new[0], 4))
        response = await anext(stream)
        assert (response.stock and response.stock.product, response.low) == (new[0], False)


@pytest.mark.usefixtures("staff")
async def test_a_deleted_product_leaves_the_stream_of_low_stock(
    client: InventoryServiceClient, database: Database
) -> None:
    """As if it had been refilled: a stream that begins afterwards does not contain it. Undeleted, it comes back."""
    for product in PRODUCTS[:2]:
        patch = Stock(name=f"{product}/stock", reorder_level=3, reorder_quantity=4)
        await client.update_stock(UpdateStockRequest(stock=patch))
    async with client.watch_low_stock(WatchLowStockRequest()) as stream:
        assert [(await anext(stream)).low for _ in range(2)] == [True, True]
        await _delete(database, SAW)
        left = await anext(stream)
        assert (left.stock and left.stock.product, left.low) == (SAW, False)
        proposals = await client.list_reorder_proposals(ListReorderProposalsRequest())
        assert [each.product for each in proposals.proposals] == [PRODUCTS[1]]
        async with client.watch_low_stock(WatchLowStockRequest()) as later:
            first = await anext(later)
            assert first.stock is not None
            assert first.stock.product == PRODUCTS[1]
            await _delete(database, SAW, deleted=False)
            for each in (stream, later):
                back = await anext(each)
                assert (back.stock, back.low) == (left.stock, True)


async def _delete(database: Database, product: str, *, deleted: bool = True) -> None:
    async with database.transaction() as tx:
        await product_change_storage.note(tx, product, deleted=deleted)
        assert await product_changes.apply_one(tx, NOW)


@pytest.mark.usefixtures("staff")
async def test_proposals_fill_their_pages(client: InventoryServiceClient) -> None:
    """Products that are low but not reordered take no place; a token of one list is not one of another."""
    for number, product in enumerate(PRODUCTS):
        patch = Stock(name=f"{product}/stock", reorder_level=3, reorder_quantity=number % 2)
        await client.update_stock(UpdateStockRequest(stock=patch))
    found, token = [], ""
    while True:
        page = await client.list_reorder_proposals(ListReorderProposalsRequest(page_size=1, page_token=token))
        found += [(each.product, each.quantity, each.reorder_level) for each in page.proposals]
        if not (token := page.next_page_token):
            break
        assert len(page.proposals) == 1
        with pytest.raises(InvalidArgument):
            await client.list_stock(ListStockRequest(page_token=token, low_only=True))
    assert found == [(PRODUCTS[1], 4, 3), (PRODUCTS[3], 4, 3)]


@pytest.mark.usefixtures("staff")
async def test_orders_reserve_commit_and_release(
    client: InventoryServiceClient, orders: InventoryServiceClient
) -> None:
    """Each call can be repeated, and returns the reservation; a call that can have no effect returns the reason."""
    await client.adjust_stock(request(SAW, 10))
    units = [OrderedUnits(product=SAW, quantity=3), OrderedUnits(product=SAW, quantity=1)]
    for _ in range(2):
        reserved = await orders.reserve(ReserveRequest(order="orders/1", units=units))
        assert (reserved.state, reserved.units) == (
            Reservation.State.RESERVED,
            [OrderedUnits(product=SAW, quantity=4)],
        )
    for _ in range(2):
        assert (await orders.commit(CommitRequest(order="orders/1"))).state is Reservation.State.COMMITTED
    for _ in range(2):
        assert (await orders.release(ReleaseRequest(order="orders/1"))).state is Reservation.State.RELEASED
    assert (await client.get_stock(GetStockRequest(name=f"{SAW}/stock"))).available == 10
    with pytest.raises(FailedPrecondition) as caught:
        await orders.commit(CommitRequest(order="orders/1"))
    assert (caught.value.reason, caught.value.metadata["state"]) == ("RESERVATION_STATE", "RETURNED")


@pytest.mark.usefixtures("staff")
async def test_a_commit_without_a_reservation_changes_nothing(
    client: InventoryServiceClient, orders: InventoryServiceClient
) -> None:
    """It fails, and the order can still be reserved; after a release it can't."""
    await client.adjust_stock(request(SAW, 10))
    with pytest.raises(FailedPrecondition) as caught:
        await orders.commit(CommitRequest(order="orders/1"))
    assert caught.value.reason == "RESERVATION_NOT_FOUND"
    wanted = ReserveRequest(order="orders/1", units=[OrderedUnits(product=SAW, quantity=1)])
    assert (await orders.reserve(wanted)).state is Reservation.State.RESERVED
    await orders.release(ReleaseRequest(order="orders/2"))
    wanted = ReserveRequest(order="orders/2", units=[OrderedUnits(product=SAW, quantity=1)])
    assert (await orders.reserve(wanted)).state is Reservation.State.RELEASED


@pytest.mark.parametrize("subject", ["workloads/payments", "users/eve"])
async def test_only_orders_reserves(issuer: Issuer, port: int, subject: str) -> None:
    """Another service can't, nor can staff."""
    token = GivenToken(issuer.token(subject, "inventory.read inventory.write"))
    async with Channel("inventory", f"127.0.0.1:{port}", tokens=token) as channel:
        with pytest.raises(PermissionDenied):
            await InventoryServiceClient(channel).release(ReleaseRequest(order="orders/1"))
