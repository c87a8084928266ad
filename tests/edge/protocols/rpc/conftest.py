"""An edge with small limits in front of the backend of streams."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.contract.contract import Contract
from tests.edge.backend import Backend
from tests.edge.served import Client, edge_of

LIMITS: dict[str, Any] = {"body_bytes_max": 4096, "stream_messages_max": 5}


@pytest.fixture(scope="session")
async def caller(_shared_source: Backend, feeds: Contract) -> AsyncIterator[Client]:
    """Returns a client of an edge with small limits, which passes metadata on."""
    names = ["x-lead", "x-trail", "x-raw-bin"]
    async with edge_of(feeds, _shared_source.port, request_headers=names, response_headers=names, **LIMITS) as client:
        yield client
