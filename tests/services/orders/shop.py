"""A running orders service with its catalog, its callers, and the events of other services."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID, uuid4

from googleapis.google.type.money_pb import Money
from meshwright.catalog.v1.catalog_pb import Product
from meshwright.inventory.v1.events_pb import StockRejected, StockReserved
from meshwright.inventory.v1.inventory_pb import Reservation, Shortage
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped, PaymentRequested
from meshwright.orders.v1.orders_grpc import OrdersServiceClient
from meshwright.orders.v1.orders_pb import (
    CancelOrderRequest,
    CreateOrderRequest,
    GetOrderRequest,
    ListOrderChangesRequest,
    ListOrdersRequest,
    ListStuckOrdersRequest,
    Order,
    OrderChange,
    OrderLine,
    RecordShipmentEventRequest,
    Shipment,
    ShipmentEvent,
    ShipOrderRequest,
    WatchOrderRequest,
    WatchOrderResponse,
)
from meshwright.payments.v1.events_pb import PaymentCaptured, PaymentFailed, PaymentHeld, PaymentRefunded
from meshwright.payments.v1.payments_pb import Payment
from protobuf import Message

from mesh.database import ChangeListener, Database
from mesh.events import Event
from services.orders import consumers, storage
from services.orders.clients import Catalog, Inventory
from services.orders.domain import Limits
from services.orders.handlers import OrdersHandlers
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving
from tests.services.orders.catalog import CatalogStandIn
from tests.services.orders.others import Others, payment, reservation

CUSTOMER_SCOPES = "profile orders.read orders.write"
STAFF_SCOPES = f"{CUSTOMER_SCOPES} catalog.write orders.manage"
LIMITS = Limits(timedelta(minutes=1), timedelta(minutes=2), timedelta(days=1))
PATIENCE_S = 20.0

OrderEvent = OrderPlaced | PaymentRequested | OrderConfirmed | OrderCancelled | OrderShipped
EVENT_TYPES: dict[str, type[OrderEvent]] = {
    message.desc().type_name: message
    for message in (OrderPlaced, PaymentRequested, OrderConfirmed, OrderCancelled, OrderShipped)
}


@dataclass
class Shop:
    """A running orders service, its catalog, and its callers."""

    orders: OrdersServiceClient
    catalog: CatalogStandIn
    others: Others
    database: Database
    issuer: Issuer

    @classmethod
    @contextlib.asynccontextmanager
    async def running(
        cls, issuer: Issuer, database: Database, catalog: CatalogStandIn, others: Others
    ) -> AsyncIterator[Self]:
        """Starts a replica, and drains it at the end."""
        async with (
            serving(issuer, catalog.service) as catalog_port,
            channel_to(catalog_port, "catalog") as to_catalog,
            others.channels(issuer) as (inventory, _),
            ChangeListener(database, storage.CHANNEL) as changes,
            serving(
                issuer, OrdersHandlers(database, Catalog(to_catalog), Inventory(inventory), changes, LIMITS)
            ) as port,
            channel_to(port, "orders") as channel,
        ):
            yield cls(OrdersServiceClient(channel), catalog, others, database, issuer)

    def replica(self) -> AbstractAsyncContextManager["Shop"]:
        """Starts another replica on the same database."""
        return Shop.running(self.issuer, self.database, self.catalog, self.others)

    async def create(
        self,
        *lines: tuple[str, int],
        request_id: str = "",
        subject: str = "users/ada",
        scopes: str = CUSTOMER_SCOPES,
        payment_method: str = "",
        expected: Money | None = None,
    ) -> Order:
        """Places an order of these products and quantities, each of which is expected to have the same price."""
        order = Order(
            lines=[
                OrderLine(product=product, quantity=quantity, expected_unit_price=expected)
                for product, quantity in lines
            ],
            payment_method=payment_method,
        )
        with acting_with(self.issuer.token(subject, scopes)):
            return await self.orders.create_order(CreateOrderRequest(order=order, request_id=request_id))

    async def get(self, name: str, *, subject: str = "users/ada", scopes: str = CUSTOMER_SCOPES) -> Order:
        """Reads an order."""
        with acting_with(self.issuer.token(subject, scopes)):
            return await self.orders.get_order(GetOrderRequest(name=name))

    async def cancel(
        self, name: str, etag: str = "", *, subject: str = "users/ada", scopes: str = CUSTOMER_SCOPES
    ) -> Order:
        """Cancels an order."""
        with acting_with(self.issuer.token(subject, scopes)):
            return await self.orders.cancel_order(CancelOrderRequest(name=name, etag=etag))

    async def names(self, size: int = 50, *, subject: str = "users/ada", scopes: str = CUSTOMER_SCOPES) -> list[str]:
        """Returns the names of all listed orders, page by page."""
        names, token = [], ""
        with acting_with(self.issuer.token(subject, scopes)):
            while True:
                request = ListOrdersRequest(page_size=size, page_token=token)
                response = await self.orders.list_orders(request)
                names += [order.name for order in response.orders]
                if not (token := response.next_page_token):
                    return names

    async def ship(
        self,
        name: str,
        number: str = "0815",
        etag: str = "",
        *,
        subject: str = "users/boss",
        scopes: str = STAFF_SCOPES,
    ) -> Order:
        """Ships an order."""
        shipment = Shipment(carrier="DHL", tracking_number=number)
        with acting_with(self.issuer.token(subject, scopes)):
            return await self.orders.ship_order(ShipOrderRequest(name=name, shipment=shipment, etag=etag))

    async def record(
        self, name: str, event: ShipmentEvent, request_id: str = "", *, scopes: str = STAFF_SCOPES
    ) -> Order:
        """Records what a carrier reported."""
        request = RecordShipmentEventRequest(name=name, event=event, request_id=request_id)
        with acting_with(self.issuer.token("users/boss", scopes)):
            return await self.orders.record_shipment_event(request)

    async def changes(
        self, name: str, size: int = 50, *, subject: str = "users/ada", scopes: str = CUSTOMER_SCOPES
    ) -> list[OrderChange]:
        """Returns the changes of an order, page by page."""
        changes, token = [], ""
        with acting_with(self.issuer.token(subject, scopes)):
            while True:
                request = ListOrderChangesRequest(parent=name, page_size=size, page_token=token)
                response = await self.orders.list_order_changes(request)
                changes += response.changes
                if not (token := response.next_page_token):
                    return changes

    async def stuck(self, size: int = 50, *, scopes: str = STAFF_SCOPES) -> list[str]:
        """Returns the names of the orders that wait for too long, page by page."""
        names, token = [], ""
        with acting_with(self.issuer.token("users/boss", scopes)):
            while True:
                request = ListStuckOrdersRequest(page_size=size, page_token=token)
                response = await self.orders.list_stuck_orders(request)
                names += [order.name for order in response.orders]
                if not (token := response.next_page_token):
                    return names

    @contextlib.asynccontextmanager
    async def watch(
        self, name: str, resume_token: str = "", *, subject: str = "users/ada", scopes: str = CUSTOMER_SCOPES
    ) -> AsyncIterator["Watch"]:
        """Watches an order."""
        request = WatchOrderRequest(name=name, resume_token=resume_token)
        async with contextlib.AsyncExitStack() as stack:
            with acting_with(self.issuer.token(subject, scopes)):
                yield Watch(await stack.enter_async_context(self.orders.watch_order(request)))

    async def consume(self, data: Message, source: str) -> None:
        """Handles an event of another service, as the inbox does."""
        event = Event(str(uuid4()), data.desc().type_name, source, "", datetime.now(UTC), data)
        async with self.database.transaction() as tx:
            await consumers.handlers()[type(data)](tx, event)

    async def reserve(self, order: Order) -> None:
        """Handles that the products of an order are reserved."""
        await self.consume(StockReserved(reservation=reservation(order)), "inventory")

    async def reject(
        self, order: Order, state: Reservation.State = Reservation.State.REJECTED, *, missing: bool = True
    ) -> None:
        """Handles that the products of an order are not reserved."""
        shortages = [Shortage(product="products/spade", wanted=2, available=1)] if missing else []
        await self.consume(StockRejected(reservation=reservation(order, state), shortages=shortages), "inventory")

    async def hold(self, order: Order) -> None:
        """Handles that the payment of an order is in review."""
        await self.consume(PaymentHeld(payment=payment(order, Payment.State.IN_REVIEW)), "payments")

    async def capture(self, order: Order) -> None:
        """Handles that an order was paid."""
        await self.consume(PaymentCaptured(payment=payment(order, Payment.State.CAPTURED)), "payments")

    async def fail(self, order: Order) -> None:
        """Handles that the payment of an order failed."""
        await self.consume(PaymentFailed(payment=payment(order, Payment.State.FAILED)), "payments")

    async def refund(self, order: Order, refunded: Money) -> None:
        """Handles that this much of an order is refunded now."""
        paid_back = payment(order, Payment.State.CAPTURED, refunded)
        await self.consume(PaymentRefunded(payment=paid_back, amount=refunded, reason="Broken"), "payments")

    async def create_confirmed(self, *, subject: str = "users/ada", payment_method: str = "") -> Order:
        """Places an order, and pays it."""
        order = await self.create(("products/spade", 1), subject=subject, payment_method=payment_method)
        await self.reserve(order)
        await self.capture(order)
        return order

    async def age(self, order: Order, minutes: float) -> None:
        """Makes the step of an order begin some minutes earlier."""
        async with self.database.transaction() as tx:
            found = await storage.find(tx, UUID(order.uid), lock=True)
            assert found is not None
            assert found.wait is not None
            since = found.wait.since - timedelta(minutes=minutes)
            await storage.update(tx, replace(found, wait=replace(found.wait, since=since)))

    async def events(self) -> list[OrderEvent]:
        """Returns the events that the service has published, in order."""
        async with self.database.transaction() as tx:
            rows = await tx.fetch("SELECT type, source, aggregate, payload FROM mesh.outbox ORDER BY id")
        events = [EVENT_TYPES[row["type"]].from_binary(row["payload"]) for row in rows]
        assert [(row["source"], row["aggregate"]) for row in rows] == [
            ("orders", event.order.name) for event in events if event.order
        ]
        return events

    async def event_types(self) -> list[type[OrderEvent]]:
        """Returns the types of the events that the service has published, in order."""
        return [type(event) for event in await self.events()]


class Watch:
    """A stream of an order."""

    def __init__(self, responses: AsyncIterator[WatchOrderResponse]) -> None:
        self._responses = responses
        self.resume_token = ""

    async def next(self) -> Order:
        """Returns the order in the next response."""
        async with asyncio.timeout(PATIENCE_S):
            response = await anext(self._responses)
        self.resume_token = response.resume_token
        assert response.order is not None
        return response.order

    async def ended(self) -> bool:
        """Waits for the end of the stream; returns False if there is another response."""
        async with asyncio.timeout(PATIENCE_S):
            return await anext(self._responses, None) is None


def product(name: str, hundredths: int, currency: str = "EUR") -> Product:
    """Returns a product on sale."""
    price = Money(currency_code=currency, units=hundredths // 100, nanos=hundredths % 100 * 10_000_000)
    return Product(name=f"products/{name}", title=name.title(), price=price)
