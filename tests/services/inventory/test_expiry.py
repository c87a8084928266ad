"""The worker that ends reservations."""

import asyncio
from datetime import UTC, datetime, timedelta

from services.inventory import reservations
from services.inventory.expiry import Expiry
from tests.services.inventory.warehouse import SAW, Warehouse


async def test_replicas_end_reservations_in_the_background(warehouse: Warehouse) -> None:
    """Each expired reservation is ended once; the others stay."""
    await warehouse.fill(saw=50)
    now = datetime.now(UTC)
    for number in range(12):
        valid_for = timedelta(hours=1 if number < 2 else -1)
        async with warehouse.database.transaction() as tx:
            await reservations.reserve(tx, f"orders/{number}", {SAW: 3}, now, valid_for)
    async with asyncio.timeout(30), Expiry(warehouse.database), Expiry(warehouse.database):
        while await warehouse.stock() != (50, 6):
            await asyncio.sleep(0.02)
    assert (await warehouse.events()).count("StockRejected") == 10
