"""The edge beside Envoy's transcoder: the same requests to both, with the same backend behind them."""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from google.protobuf import json_format, message
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.conformance.dialect import Dialect, dialect_of
from tests.differential.contract import SERVICE, SHAPES
from tests.differential.differences import DIFFERENCES, Outcome, agree, difference
from tests.differential.envoy import envoy_of
from tests.differential.requests import Request, requests
from tests.edge.backend import Backend, backend_of
from tests.edge.served import edge_of

EXAMPLES: Final = 1000
DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "envoy-differences.md"


class Side:
    """One of the two proxies, with a persistent connection."""

    def __init__(self, port: int, backend: Backend, dialect: Dialect, *, is_envoy: bool) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._backend = backend
        self._dialect = dialect
        self._is_envoy = is_envoy

    def outcome(self, request: Request) -> Outcome:
        """Sends a request and returns its outcome."""
        self._backend.calls.clear()
        self._connection.putrequest(request.method, request.target, skip_accept_encoding=True)
        if request.body is not None:
            self._connection.putheader("content-type", "application/json")
            self._connection.putheader("content-length", str(len(request.body)))
        self._connection.endheaders(request.body)
        response = self._connection.getresponse()
        body = response.read()
        reply = self._reply(request, body) if response.status == 200 else None
        error = json.loads(body)["error"] if response.status >= 400 and body.startswith(b"{") else {}
        return Outcome(response.status, self._received(), reply, error)

    def _received(self) -> bytes | None:
        if not self._backend.calls:
            return None
        sent = self._backend.calls[-1].request
        try:
            return self._dialect.all.FromString(sent).SerializeToString(deterministic=True)
        except message.DecodeError:
            return sent  # Envoy lets strings pass that are not UTF-8

    def _reply(self, request: Request, body: bytes) -> bytes:
        found: Any = self._dialect.all()
        # Envoy answers the whole message where the rule names a field of it.
        into = found.inner if request.target.startswith("/response") and not self._is_envoy else found
        # Envoy writes -0 without a fraction, and some control characters as they are.
        document = json.loads(
            body, strict=not self._is_envoy, parse_int=lambda digits: -0.0 if digits == "-0" else int(digits)
        )
        json_format.ParseDict(document, into, descriptor_pool=self._dialect.pool)
        reply: bytes = into.SerializeToString(deterministic=True)
        return reply

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


@pytest.fixture(scope="module")
async def sides(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Side, Side]]:
    """The edge and Envoy."""
    folder = tmp_path_factory.mktemp("shapes")
    dialect = dialect_of(SHAPES, folder)
    async with (
        backend_of(dialect.contract.registry) as backend,
        edge_of(dialect.contract, backend.port) as client,
        envoy_of(folder / "test.proto.binpb", SERVICE, backend, folder) as envoy_port,
    ):
        assert client.base_url.port is not None
        both = (
            Side(client.base_url.port, backend, dialect, is_envoy=False),
            Side(envoy_port, backend, dialect, is_envoy=True),
        )
        yield both
        for side in both:
            side.close()


async def test_they_agree_but_for_what_is_listed(sides: tuple[Side, Side]) -> None:
    """Generated requests are refused by both, or reach the backend and come back as the same messages, or differ in a
    way that docs/envoy-differences.md names; and the edge never fails.
    """
    edge, envoy = sides

    @seed(1)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests)
    def check(request: Request) -> None:
        ours, theirs = edge.outcome(request), envoy.outcome(request)
        assert ours.status < 500
        if not agree(ours, theirs):
            assert difference((request, ours, theirs)) is not None, (ours, theirs)

    await asyncio.to_thread(check)


@pytest.mark.parametrize("name", DIFFERENCES)
async def test_each_difference_is_one(sides: tuple[Side, Side], name: str) -> None:
    """The example of each kind of difference still shows it: none is listed that is gone."""
    edge, envoy = sides
    request = DIFFERENCES[name].example
    ours, theirs = await asyncio.to_thread(edge.outcome, request), await asyncio.to_thread(envoy.outcome, request)
    assert not agree(ours, theirs)
    assert difference((request, ours, theirs)) == name, (ours, theirs)


def headings() -> Iterator[str]:
    """The kinds of difference that the document names."""
    for line in DOCUMENT.read_text().splitlines():
        if line.startswith("| **"):
            yield line.split("**")[1]


def test_the_document_names_each_difference() -> None:
    """And no others."""
    assert list(headings()) == list(DIFFERENCES)
