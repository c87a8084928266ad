"""The database of the sample_shelf service."""

from collections.abc import Awaitable, Callable

import pytest

from mesh.database import Database


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """Returns an empty database of the sample_shelf service."""
    return await open_database("sample_shelf")
