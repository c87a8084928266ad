"""The methods of OrdersService."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from meshwright.orders.v1.orders_grpc import OrdersServiceBase
from meshwright.orders.v1.orders_pb import (
    CancelOrderRequest,
    CreateOrderRequest,
    GetOrderRequest,
    ListOrderChangesRequest,
    ListOrderChangesResponse,
    ListOrdersRequest,
    ListOrdersResponse,
    ListStuckOrdersRequest,
    ListStuckOrdersResponse,
    RecordShipmentEventRequest,
    ShipOrderRequest,
    WatchOrderRequest,
    WatchOrderResponse,
)
from meshwright.orders.v1.orders_pb import Order as OrderMessage
from meshwright.orders.v1.orders_pb import Shipment as ShipmentMessage
from meshwright.orders.v1.orders_pb import ShipmentEvent as ShipmentEventMessage

from mesh.database import ChangeListener, Connection, Database
from mesh.errors import FailedPrecondition
from mesh.idempotency import once, once_prepared
from mesh.money_message import money_of
from mesh.pagination import read_page
from mesh.resume import read_resume_token
from mesh.rpc import Call
from mesh.timestamp_message import time_of
from services.orders import change_storage, saga, storage
from services.orders.clients import Catalog, Inventory
from services.orders.domain import (
    Actor,
    Limits,
    Order,
    OrderLine,
    Shipment,
    ShipmentEvent,
    ShipmentEventKind,
    uid_of,
    visible_to,
)
from services.orders.erasure_storage import ERASED_CUSTOMERS
from services.orders.messages import change_message, order_message
from services.orders.pricing import RequestedLine, price

STAFF_SCOPE: Final = "orders.manage"

SPARE_CONNECTIONS: Final = 2
"""The connections to the database that streams leave to calls, however many of them read at once."""


class OrdersHandlers(OrdersServiceBase):
    """The handlers of OrdersService."""

    def __init__(
        self, database: Database, catalog: Catalog, inventory: Inventory, changes: ChangeListener, limits: Limits
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._inventory = inventory
        self._changes = changes
        self._limits = limits
        self._turns = asyncio.Semaphore(max(1, database.connections_max - SPARE_CONNECTIONS))

    async def create_order(self, request: CreateOrderRequest, call: Call) -> OrderMessage:
        """Places an order: prices its lines, then stores it and publishes an event, once for each request_id.

        The catalog is called outside the transaction, and not at all by a repeated call.
        """
        return await once_prepared(
            self._database,
            call,
            request,
            prepare=partial(self._price, _requested(request)),
            effect=partial(_place, customer=call.caller.subject, payment_method=_payment_method(request)),
        )

    async def _price(self, requested: Sequence[RequestedLine]) -> tuple[OrderLine, ...]:
        return price(requested, await self._catalog.products([line.product for line in requested]))

    async def get_order(self, request: GetOrderRequest, call: Call) -> OrderMessage:
        """Returns an order of the caller, or any order to staff."""
        uid = uid_of(request.name)
        async with self._database.autocommit() as connection:
            order = await storage.find(connection, uid)
        return order_message(visible_to(_actor(call), request.name, order))

    async def list_orders(self, request: ListOrdersRequest, call: Call) -> ListOrdersResponse:
        """Lists the orders of the caller, or all orders for staff."""
        actor = _actor(call)
        customer = None if actor.staff else actor.subject
        query = ("all",) if customer is None else ("of", customer)
        page = read_page(request.page_size, request.page_token, query=query, key_types=storage.KEY_TYPES)
        async with self._database.autocommit() as connection:
            orders, next_page_token = await storage.list_orders(connection, customer, page)
        return ListOrdersResponse(orders=[order_message(order) for order in orders], next_page_token=next_page_token)

    async def cancel_order(self, request: CancelOrderRequest, call: Call) -> OrderMessage:
        """Cancels an order while its row is locked, so that only one of two concurrent calls changes the order and
        publishes an event.
        """
        actor = _actor(call)
        async with self._database.transaction() as tx:
            order = await _lock(tx, actor, request.name)
            cancelled = order.cancel(actor, request.etag, datetime.now(UTC))
            await saga.change(tx, order, cancelled, actor.subject)
        return order_message(cancelled)

    async def ship_order(self, request: ShipOrderRequest, call: Call) -> OrderMessage:
        """Marks an order as shipped, after its products have left the stock: the event by which inventory takes them
        out may be late. Inventory is called outside of transactions, and not at all by a repeated call.
        """
        actor, now = _actor(call), datetime.now(UTC)
        asked = request.shipment or ShipmentMessage()
        shipment = Shipment(asked.carrier, asked.tracking_number, ship_time=now)

        async def read() -> Order:
            async with self._database.autocommit() as connection:
                return visible_to(actor, request.name, await storage.find(connection, uid_of(request.name)))

        found = await read()
        if found.ship(shipment, request.etag, now) is not found:
            try:
                await self._inventory.commit(found)
            except FailedPrecondition:
                # An order that was cancelled meanwhile has given its products back: that is the reason then.
                (await read()).ship(shipment, request.etag, now)
                raise
        async with self._database.transaction() as tx:
            order = await _lock(tx, actor, request.name)
            shipped = order.ship(shipment, request.etag, now)
            await saga.change(tx, order, shipped, actor.subject)
        return order_message(shipped)

    async def record_shipment_event(self, request: RecordShipmentEventRequest, call: Call) -> OrderMessage:
        """Adds what a carrier reported, once for each request_id."""
        asked, now = request.event or ShipmentEventMessage(), datetime.now(UTC)
        event = ShipmentEvent(
            ShipmentEventKind[asked.kind.name],
            asked.description,
            now if asked.event_time is None else time_of(asked.event_time, "event.event_time"),
        )
        async with self._database.transaction() as tx:
            return await once(tx, call, request, partial(_record, tx, _actor(call), request.name, event, now))

    async def watch_order(self, request: WatchOrderRequest, call: Call) -> AsyncIterator[WatchOrderResponse]:
        """Streams an order. A stream reads the order whenever it is woken, and holds nothing meanwhile."""
        uid = uid_of(request.name)
        resume = read_resume_token(request.resume_token, query=("order", str(uid)), key_types=(int,))
        seen = resume.after or (0,)
        with self._changes.watch(uid) as changed:
            while True:
                changed.clear()
                order = await self._read(_actor(call), request.name, uid)
                if (order.version,) > seen:
                    seen = (order.version,)
                    yield WatchOrderResponse(order=order_message(order), resume_token=resume.token(*seen))
                if order.state.final:
                    return
                await changed.wait()

    async def _read(self, actor: Actor, name: str, uid: UUID) -> Order:
        """Returns an order to a stream, which waits for its turn instead of failing when many are woken at once."""
        async with self._turns, self._database.autocommit() as connection:
            return visible_to(actor, name, await storage.find(connection, uid))

    async def list_order_changes(self, request: ListOrderChangesRequest, call: Call) -> ListOrderChangesResponse:
        """Lists the changes of an order of the caller, or of any order for staff."""
        uid = uid_of(request.parent)
        page = read_page(
            request.page_size, request.page_token, query=("changes", str(uid)), key_types=change_storage.KEY_TYPES
        )
        async with self._database.autocommit() as connection:
            visible_to(_actor(call), request.parent, await storage.find(connection, uid))
            changes, next_page_token = await change_storage.list_changes(connection, uid, page)
        return ListOrderChangesResponse(
            changes=[change_message(change) for change in changes], next_page_token=next_page_token
        )

    async def list_stuck_orders(self, request: ListStuckOrdersRequest, call: Call) -> ListStuckOrdersResponse:
        """Lists the orders that wait for too long."""
        page = read_page(request.page_size, request.page_token, query=("stuck",), key_types=storage.STUCK_KEY_TYPES)
        async with self._database.autocommit() as connection:
            orders, next_page_token = await storage.list_stuck(connection, self._limits, datetime.now(UTC), page)
        return ListStuckOrdersResponse(
            orders=[order_message(order) for order in orders], next_page_token=next_page_token
        )


async def _place(tx: Connection, lines: tuple[OrderLine, ...], *, customer: str, payment_method: str) -> OrderMessage:
    await ERASED_CUSTOMERS.check_caller(tx, customer)
    order = Order.place(uuid4(), customer, lines, datetime.now(UTC), payment_method)
    await saga.begin(tx, order)
    return order_message(order)


async def _record(tx: Connection, actor: Actor, name: str, event: ShipmentEvent, now: datetime) -> OrderMessage:
    order = await _lock(tx, actor, name)
    recorded = order.record_shipment_event(event, now)
    assert recorded.shipment is not None, "only a shipped order has events"
    await storage.insert_shipment_event(tx, order.uid, len(recorded.shipment.events), event)
    await saga.change(tx, order, recorded, actor.subject)
    return order_message(recorded)


async def _lock(tx: Connection, actor: Actor, name: str) -> Order:
    """Returns an order that this actor may change, locked until the transaction ends. Raises as visible_to() does, and
    Unauthenticated if the actor's account was deleted: the history would name a user who was erased.
    """
    await ERASED_CUSTOMERS.check_caller(tx, actor.subject)
    return visible_to(actor, name, await storage.find(tx, uid_of(name), lock=True))


def _actor(call: Call) -> Actor:
    return Actor(call.caller.subject, staff=STAFF_SCOPE in call.caller.scopes)


def _requested(request: CreateOrderRequest) -> Sequence[RequestedLine]:
    assert request.order is not None, "the contract requires it"
    return [
        RequestedLine(
            line.product,
            line.quantity,
            None if line.expected_unit_price is None else money_of(line.expected_unit_price),
        )
        for line in request.order.lines
    ]


def _payment_method(request: CreateOrderRequest) -> str:
    assert request.order is not None, "the contract requires it"
    return request.order.payment_method
