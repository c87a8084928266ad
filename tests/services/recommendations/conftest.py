"""The database of the recommendations service."""

from collections.abc import Awaitable, Callable

import pytest

from mesh.database import Database


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """An empty database of the recommendations service."""
    return await open_database("recommendations")
