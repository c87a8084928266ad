"""One mesh for all system tests. A test that breaks a part of it also restores it."""

from collections.abc import Iterator

import pytest

from tests.system.mesh import Client, Mesh, temporary_home


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    """Starts the mesh and waits until it is ready. The mesh ignores a variable for another PostgreSQL server."""
    with temporary_home() as home, Mesh.running(home, PGSSLMODE="require") as running:
        yield running


@pytest.fixture
def anyone(mesh: Mesh) -> Iterator[Client]:
    """Returns a client without a token."""
    with Client(mesh) as client:
        yield client


@pytest.fixture
def customer(mesh: Mesh) -> Iterator[Client]:
    """Returns a client signed in as a customer who has just registered."""
    with Client(mesh) as client:
        client.register()
        yield client


@pytest.fixture
def other(mesh: Mesh) -> Iterator[Client]:
    """Returns a client of a second customer."""
    with Client(mesh) as client:
        client.register()
        yield client


@pytest.fixture
def staff(mesh: Mesh) -> Iterator[Client]:
    """Returns a client signed in as staff."""
    with Client(mesh) as client:
        client.sign_in(*mesh.staff_login())
        yield client
