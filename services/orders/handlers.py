"""The methods of OrdersService."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from meshwright.orders.v1.events_pb import OrderCancelled, OrderPlaced
from meshwright.orders.v1.orders_grpc import OrdersServiceBase
from meshwright.orders.v1.orders_pb import (
    CancelOrderRequest,
    CreateOrderRequest,
    GetOrderRequest,
    ListOrdersRequest,
    ListOrdersResponse,
)
from meshwright.orders.v1.orders_pb import Order as OrderMessage
from meshwright.orders.v1.orders_pb import OrderLine as OrderLineMessage
from protobuf.wkt import Timestamp

from mesh.database import Connection, Database
from mesh.events import publish
from mesh.idempotency import once_prepared
from mesh.money_message import money_message
from mesh.pagination import read_page
from mesh.rpc import Call
from services.orders import storage
from services.orders.clients import Catalog
from services.orders.domain import Actor, Order, OrderLine, RequestedLine, price, uid_of, visible_to

SOURCE = "orders"
STAFF_SCOPE = "orders.manage"


class OrdersHandlers(OrdersServiceBase):
    """The handlers of OrdersService."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    async def create_order(self, request: CreateOrderRequest, call: Call) -> OrderMessage:
        """Places an order: prices its lines, then stores it and publishes an event, once for each request_id.

        The catalog is called outside the transaction, and not at all by a repeated call.
        """
        return await once_prepared(
            self._database,
            call,
            request,
            prepare=partial(self._price, _requested(request)),
            effect=partial(_place, customer=call.caller.subject),
        )

    async def _price(self, requested: Sequence[RequestedLine]) -> tuple[OrderLine, ...]:
        return price(requested, await self._catalog.products([line.product for line in requested]))

    async def get_order(self, request: GetOrderRequest, call: Call) -> OrderMessage:
        """Returns an order of the caller, or any order to staff."""
        uid = uid_of(request.name)
        async with self._database.transaction() as tx:
            order = await storage.find(tx, uid)
        return _order_message(visible_to(_actor(call), request.name, order))

    async def list_orders(self, request: ListOrdersRequest, call: Call) -> ListOrdersResponse:
        """Lists the orders of the caller, or all orders for staff."""
        actor = _actor(call)
        customer = None if actor.staff else actor.subject
        query = ("all",) if customer is None else ("of", customer)
        page = read_page(request.page_size, request.page_token, query=query, key_types=storage.KEY_TYPES)
        async with self._database.transaction() as tx:
            orders, next_page_token = await storage.list_orders(tx, customer, page)
        return ListOrdersResponse(orders=[_order_message(order) for order in orders], next_page_token=next_page_token)

    async def cancel_order(self, request: CancelOrderRequest, call: Call) -> OrderMessage:
        """Cancels an order while its row is locked, so that only one of two concurrent calls changes the order and
        publishes an event.
        """
        uid = uid_of(request.name)
        async with self._database.transaction() as tx:
            order = visible_to(_actor(call), request.name, await storage.find(tx, uid, lock=True))
            cancelled = order.cancel(request.etag, datetime.now(UTC))
            message = _order_message(cancelled)
            if cancelled is not order:
                await storage.update(tx, cancelled)
                await publish(tx, OrderCancelled(order=message), source=SOURCE, aggregate=order.name)
        return message


async def _place(tx: Connection, lines: tuple[OrderLine, ...], *, customer: str) -> OrderMessage:
    order = Order.place(uuid4(), customer, lines, datetime.now(UTC))
    await storage.insert(tx, order)
    message = _order_message(order)
    await publish(tx, OrderPlaced(order=message), source=SOURCE, aggregate=order.name)
    return message


def _actor(call: Call) -> Actor:
    return Actor(call.caller.subject, staff=STAFF_SCOPE in call.caller.scopes)


def _requested(request: CreateOrderRequest) -> Sequence[RequestedLine]:
    assert request.order is not None, "the contract requires it"
    return [RequestedLine(line.product, line.quantity) for line in request.order.lines]


def _order_message(order: Order) -> OrderMessage:
    return OrderMessage(
        name=order.name,
        uid=str(order.uid),
        customer=order.customer,
        lines=[_line_message(line) for line in order.lines],
        total=money_message(order.total),
        state=OrderMessage.State[order.state.name],
        create_time=Timestamp.from_datetime(order.create_time),
        update_time=Timestamp.from_datetime(order.update_time),
        etag=order.etag,
    )


def _line_message(line: OrderLine) -> OrderLineMessage:
    return OrderLineMessage(
        product=line.product,
        quantity=line.quantity,
        title=line.title,
        unit_price=money_message(line.unit_price),
        amount=money_message(line.amount),
    )
