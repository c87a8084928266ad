"""The database of the inventory service, and the warehouse in it."""

from collections.abc import Awaitable, Callable

import pytest

from mesh.database import Database
from tests.services.inventory.warehouse import Warehouse


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """An empty database of the inventory service."""
    return await open_database("inventory")


@pytest.fixture
def warehouse(database: Database) -> Warehouse:
    """An empty warehouse."""
    return Warehouse(database)
