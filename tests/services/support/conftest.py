"""The database of the support service, replicas of it, and its users."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from mesh.database import Database
from tests.issuer import Issuer
from tests.services.support.replica import Replica, User


@pytest.fixture
async def database(open_database: Callable[..., Awaitable[Database]]) -> Database:
    """An empty database of the support service."""
    return await open_database("support")


@pytest.fixture
def issuer() -> Issuer:
    """The issuer of the tokens of this test."""
    return Issuer()


@pytest.fixture
async def replica(issuer: Issuer, database: Database) -> AsyncIterator[Replica]:
    """A replica of the service."""
    async with Replica.running(issuer, database) as running:
        yield running


@pytest.fixture
def ada(replica: Replica) -> User:
    """A customer."""
    return replica.user("users/ada")


@pytest.fixture
def bob(replica: Replica) -> User:
    """Another customer."""
    return replica.user("users/bob")


@pytest.fixture
def eve(replica: Replica) -> User:
    """A member of staff."""
    return replica.user("users/eve", staff=True)
