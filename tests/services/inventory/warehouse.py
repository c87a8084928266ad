"""A warehouse, which is a database of the inventory service with what orders do to it."""

from datetime import UTC, datetime, timedelta
from typing import Final

from mesh.database import Database
from mesh.pagination import read_page
from services.inventory import product_changes, reservations, storage
from services.inventory.domain import State
from services.inventory.storage import StockFilter
from tests.services.outbox import published_names

NOW: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
VALID: Final = timedelta(minutes=30)
SAW: Final = "products/saw"
AXE: Final = "products/axe"


class Warehouse:
    """A database of the service, with what orders do to it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def fill(self, **units: int) -> None:
        """Adjusts the stock of products."""
        products = {f"products/{name}": delta for name, delta in units.items()}
        async with self.database.transaction() as tx:
            before = await storage.lock_all(tx, products, NOW)
            after = [before[product].adjust(delta, NOW) for product, delta in products.items()]
            await reservations.write_stock(tx, before, after)

    async def reorder_at(self, product: str, level: int) -> None:
        """Changes when to reorder a product."""
        async with self.database.transaction() as tx:
            before = await storage.lock_all(tx, [product], NOW)
            await reservations.write_stock(tx, before, [before[product].reorder_at(level, 1, "", NOW)])

    async def change_products(self) -> None:
        """Has the stock of products show what was noted of them."""
        for _ in range(100):
            async with self.database.transaction() as tx:
                if not await product_changes.apply_one(tx, NOW):
                    return
        raise AssertionError("it does not end")

    async def listed(self, stock_filter: StockFilter) -> list[str]:
        """Returns the products that are listed."""
        async with self.database.transaction() as tx:
            page = read_page(0, "", query=(), key_types=storage.STOCK_KEY_TYPES)
            found, _ = await storage.list_stock(tx, page, stock_filter)
        return [stock.product for stock in found]

    async def reserve(self, order: str, **units: int) -> State:
        """Reserves the products of an order."""
        wanted = {f"products/{name}": quantity for name, quantity in units.items()}
        async with self.database.transaction() as tx:
            return (await reservations.reserve(tx, order, wanted, NOW, VALID)).state

    async def release(self, order: str) -> State:
        """Releases the products of an order."""
        async with self.database.transaction() as tx:
            return (await reservations.release(tx, order, NOW)).state

    async def commit(self, order: str) -> State | None:
        """Commits the products of an order."""
        async with self.database.transaction() as tx:
            reservation = await reservations.commit(tx, order, NOW)
        return reservation.state if reservation else None

    async def expire(self, now: datetime = NOW + VALID) -> int:
        """Ends the reservations that have expired; returns their number."""
        for count in range(100):
            async with self.database.transaction() as tx:
                if not await reservations.expire_one(tx, now):
                    return count
        raise AssertionError("it does not end")

    async def stock(self, product: str = SAW) -> tuple[int, int]:
        """Returns the units on hand, and those that are reserved."""
        async with self.database.transaction() as tx:
            stock = await storage.find(tx, product)
        assert stock is not None
        return stock.on_hand, stock.reserved

    async def events(self) -> list[str]:
        """Returns the names of the events that were published, in their order."""
        return await published_names(self.database)
