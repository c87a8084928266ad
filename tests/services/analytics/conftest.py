"""The database of the analytics service."""

from collections.abc import Awaitable, Callable

import pytest

from mesh.database import Database


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """An empty database of the analytics service."""
    return await open_database("analytics")
