"""The library's contract, a backend of it, and an edge in front of both."""

from collections.abc import AsyncIterator, Iterator

import pytest

from edge.contract.contract import Contract, read
from mesh.identity import Verifier
from tests.edge.backend import Backend, backend_of
from tests.edge.contracts import LIBRARY, compile_image
from tests.edge.served import Client, edge_of
from tests.issuer import AUDIENCE, ISSUER, Issuer


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """Returns the contract that most tests share."""
    return read(compile_image(LIBRARY, tmp_path_factory.mktemp("library")))


@pytest.fixture(scope="session")
async def _shared_backend(library: Contract) -> AsyncIterator[Backend]:
    async with backend_of(library.registry) as backend:
        yield backend


@pytest.fixture
def backend(_shared_backend: Backend) -> Iterator[Backend]:
    """Returns a backend without calls, which answers with the request itself, also after the test."""
    _shared_backend.calls.clear()
    yield _shared_backend
    _shared_backend.answer = None


@pytest.fixture(scope="session")
async def client(_shared_backend: Backend, library: Contract) -> AsyncIterator[Client]:
    """Returns a client of an edge that does not check tokens."""
    async with edge_of(library, _shared_backend.port) as client:
        yield client


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """Returns the issuer whose tokens the guarded edge accepts."""
    return Issuer()


@pytest.fixture(scope="session")
async def guarded(_shared_backend: Backend, library: Contract, issuer: Issuer) -> AsyncIterator[Client]:
    """Returns a client of an edge that checks tokens."""
    async with edge_of(library, _shared_backend.port, verifier=Verifier(issuer, ISSUER, AUDIENCE)) as client:
        yield client
