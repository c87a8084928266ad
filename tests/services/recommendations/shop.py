"""The events of a shop, as the recommendations service receives them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid4

from meshwright.catalog.v1.catalog_pb import Product
from meshwright.catalog.v1.events_pb import ProductChanged
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed
from meshwright.orders.v1.orders_pb import Order, OrderLine
from protobuf.wkt import Timestamp

from mesh.database import Connection, Database
from mesh.events import Event
from services.recommendations import consumers
from services.recommendations.training_worker import TrainingWorker

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SAW, OIL, BLADE, RAKE = (UUID(int=number) for number in range(1, 5))


class Shop:
    """A shop whose events the service handles at once."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.training = TrainingWorker(database)

    async def buy(
        self, *products: UUID, customer: str = "users/ada", time: datetime = NOW, order: UUID | None = None
    ) -> UUID:
        """Delivers that a customer paid for an order of these products. Returns the order."""
        uid = order or uuid4()
        await self.deliver(consumers.order_confirmed, OrderConfirmed(order=_order(uid, products, customer, time)))
        return uid

    async def cancel(self, order: UUID) -> None:
        """Delivers that an order was cancelled."""
        await self.deliver(consumers.order_cancelled, OrderCancelled(order=_order(order, (), "", NOW)))

    async def withdraw(self, product: UUID, *, withdrawn: bool = True) -> None:
        """Delivers that a product was deleted, or undeleted."""
        delete_time = Timestamp.from_datetime(NOW) if withdrawn else None
        changed = Product(name=f"products/{product}", uid=str(product), delete_time=delete_time)
        await self.deliver(consumers.product_changed, ProductChanged(product=changed))

    async def delete_user(self, user: str) -> None:
        """Delivers that a user was deleted."""
        await self.deliver(consumers.user_deleted, UserDeleted(user=user))

    async def deliver(self, handler: Callable[[Connection, Event[Any]], Awaitable[None]], data: Any) -> None:
        """Handles an event as the inbox does."""
        kind = data.desc().type_name
        async with self.database.transaction() as tx:
            await handler(tx, Event(str(uuid4()), kind, kind.split(".")[1], "any", NOW, data))

    async def learn(self, now: datetime = NOW) -> None:
        """Learns until there is nothing more to learn."""
        while await self.training.learn(now):
            pass

    async def read(self, query: str) -> list[tuple[Any, ...]]:
        """Returns the rows of a query."""
        async with self.database.transaction() as tx:
            return [tuple(row) for row in await tx.fetch(query)]


def _order(uid: UUID, products: Sequence[UUID], customer: str, time: datetime) -> Order:
    lines = [OrderLine(product=f"products/{product}", quantity=1) for product in products]
    return Order(name=f"orders/{uid}", customer=customer, lines=lines, create_time=Timestamp.from_datetime(time))
