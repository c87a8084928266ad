"""The prices in force: computed by reads, and written and published by the repricer when they change."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from meshwright.catalog.v1.events_pb import ProductChanged

from mesh.background import Worker
from mesh.database import Connection, Database
from mesh.events import publish_all
from services.catalog import price_storage, storage
from services.catalog.domain.price import Schedule
from services.catalog.domain.product import PriceInForce, Product
from services.catalog.product_message import SOURCE, product_message

POLL_PAUSE_S: Final = 0.5
BATCH_MAX: Final = 100
ENDED_KEPT_FOR: Final = timedelta(days=365)


class Repricer(Worker):
    """The worker that writes and publishes the prices in force when they change, while its context lasts. Replicas
    share the products.
    """

    def __init__(self, database: Database, *, poll_pause_s: float = POLL_PAUSE_S) -> None:
        super().__init__({"repricer": self._reprice})
        self._database = database
        self._poll_pause_s = poll_pause_s

    async def _reprice(self) -> None:
        now = datetime.now(UTC)
        async with self._database.transaction() as tx:
            due = await storage.take_due(tx, now, BATCH_MAX)
            await reprice(tx, due, now)
            await price_storage.purge(tx, now - ENDED_KEPT_FOR, BATCH_MAX)
        if len(due) < BATCH_MAX:
            await asyncio.sleep(self._poll_pause_s)


async def priced_now(tx: Connection, products: Sequence[Product]) -> list[Product]:
    """Returns products with the prices that are in force now, also where the repricer has not written them yet."""
    now = datetime.now(UTC)
    late = [each.uid for each in products if not each.is_priced_at(now)]
    schedules = await price_storage.read_schedules(tx, late, now) if late else {}
    return [_priced(each, schedules[each.uid], now) if each.uid in schedules else each for each in products]


async def reprice(tx: Connection, products: Iterable[Product], now: datetime) -> None:
    """Writes the prices in force of products, which must be locked, and publishes those that have changed."""
    stored = sorted(products, key=lambda each: each.uid)
    schedules = await price_storage.read_schedules(tx, [each.uid for each in stored], now)
    priced = [_priced(each, schedules[each.uid], now) for each in stored]
    await storage.update_all(tx, priced)
    changed = [
        now_priced
        for before, now_priced in zip(stored, priced, strict=True)
        if before.scheduled_price != now_priced.scheduled_price
    ]
    await publish_all(
        tx, ((each.name, ProductChanged(product=product_message(each))) for each in changed), source=SOURCE
    )


def _priced(product: Product, schedule: Schedule, now: datetime) -> Product:
    price = schedule.in_force(now)
    scheduled = None if price is None else PriceInForce(price.uid, price.terms.amount)
    return product.reprice(scheduled, schedule.next_change(now))
