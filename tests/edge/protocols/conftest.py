"""The contract of streams, a backend of it, and an edge in front of both."""

from collections.abc import AsyncIterator

import pytest

from edge.contract.contract import Contract, read
from tests.edge.backend import Backend, backend_of
from tests.edge.contracts import compile_image
from tests.edge.protocols.rest.contract import FEEDS, STREAMING
from tests.edge.served import Client, edge_of


@pytest.fixture(scope="session")
def feeds(tmp_path_factory: pytest.TempPathFactory) -> Contract:
    """Returns a contract with all kinds of streams."""
    return read(compile_image(FEEDS, tmp_path_factory.mktemp("feeds")))


@pytest.fixture(scope="session")
async def _shared_source(feeds: Contract) -> AsyncIterator[Backend]:
    async with backend_of(feeds.registry, STREAMING) as backend:
        yield backend


@pytest.fixture
def source(_shared_source: Backend) -> Backend:
    """Returns a backend without calls, which answers each request with itself."""
    _shared_source.calls.clear()
    _shared_source.ended = []
    _shared_source.answer = _shared_source.stream = None
    return _shared_source


@pytest.fixture(scope="session")
async def reader(_shared_source: Backend, feeds: Contract) -> AsyncIterator[Client]:
    """Returns a client of an edge with short timeouts."""
    async with edge_of(feeds, _shared_source.port, stream_open_s=0.2, stream_heartbeat_s=0.1) as client:
        yield client
