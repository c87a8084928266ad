"""The database of the orders service, and a running shop on it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from mesh.database import Database
from tests.issuer import Issuer
from tests.services.orders.catalog import CatalogStandIn
from tests.services.orders.others import Others
from tests.services.orders.shop import Shop, product


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """An empty database of the orders service."""
    return await open_database("orders")


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    """An orders service without orders, and a catalog with a spade, seeds and, in dollars, boots."""
    catalog = CatalogStandIn()
    for each in (product("spade", 1999), product("seeds", 249), product("boots", 7000, "USD")):
        catalog.products[each.name] = each
    async with Shop.running(Issuer(), database, catalog, Others()) as running:
        yield running
