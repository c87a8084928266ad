"""The edge in a service mesh: clients can't harm each other, and a drain loses no request."""

import asyncio
import itertools
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import h11
import httpx
import pytest

from edge.contract.contract import Contract
from local.ports import free_ports
from tests import mesh_proxy
from tests.edge.backend import Backend, Context, Received
from tests.edge.command import process, wait_until_ready
from tests.edge.served import Client, edge_of
from tests.edge.test_main import image
from tests.ejecting_service import ejecting_service
from tests.mesh_proxy import GrpcProxy, HttpConnection, HttpProxy

__all__ = ["image"]  # a fixture

GET = "/v1/books/a"
PROCEDURE = "/library.v1.Library/GetBook"


def answers_after(backend: Backend, pause_s: float) -> None:
    """Makes the backend answer with a book after a pause."""
    book = backend.message("library.v1.Book", '{"title": "T"}').to_binary()

    async def answer(_: Received, __: Context) -> bytes:
        await asyncio.sleep(pause_s)
        return book

    backend.answer = answer


async def test_the_proxy_ejects(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that reach the proxy count against the endpoint, as the test below assumes."""
    monkeypatch.setattr(mesh_proxy, "EJECTED_S", 3600.0)
    answers_after(backend, 60)
    async with GrpcProxy(backend.port) as proxy, grpc.aio.insecure_channel(f"127.0.0.1:{proxy.port}") as channel:
        call: Any = channel.unary_unary(PROCEDURE)
        while not proxy.ejections:  # not each call reaches the proxy before its deadline
            with pytest.raises(grpc.aio.AioRpcError):
                await call(b"", timeout=0.05)
        with pytest.raises(grpc.aio.AioRpcError, match="no endpoint is available"):
            await call(b"", timeout=30)


HURRIES = [
    ("GET", {"x-server-timeout": "0.002"}),
    ("GET", {"x-server-timeout": "0.01"}),
    ("GET", {"x-server-timeout": "0.05"}),
    ("POST", {"connect-timeout-ms": "1"}),
    ("POST", {"connect-timeout-ms": "20"}),
]


@pytest.mark.parametrize("service_mesh", [True, False])
async def test_clients_with_short_deadlines_harm_no_others(
    library: Contract, backend: Backend, service_mesh: bool
) -> None:
    """Deadlines of eight clients pass again and again, and the requests of all others are answered."""
    book = backend.message("library.v1.Book", '{"title": "T"}').to_binary()
    hurries = itertools.cycle(HURRIES)
    statuses: set[int] = set()

    async def attack(client: Client) -> None:
        while True:
            method, headers = next(hurries)
            if method == "GET":
                response = await client.get(GET, headers=headers)
            else:
                response = await client.post(PROCEDURE, json={}, headers=headers)
            statuses.add(response.status_code)

    async def visit(client: Client) -> list[int]:
        return [(await client.get(GET)).status_code for _ in range(25)]

    async with (
        ejecting_service(0.03, book) as service,
        edge_of(library, service.port, service_mesh=service_mesh) as client,
        asyncio.TaskGroup() as group,
    ):
        attackers = [group.create_task(attack(client)) for _ in range(8)]
        visits = await asyncio.gather(*(visit(client) for _ in range(4)))
        for attacker in attackers:
            attacker.cancel()
    assert [status for each in visits for status in each] == [200] * 100
    assert service.ejections == 0
    assert service.statuses == ["OK"]
    assert 504 in statuses
    assert statuses <= {200, 504}


class Endpoint:
    """One replica of the edge behind a proxy. New connections go to those that are ready."""

    def __init__(self, port: int, proxy_port: int) -> None:
        self.port = port
        self.proxy_port = proxy_port
        self.is_ready = True


@asynccontextmanager
async def visitors(endpoints: list[Endpoint], count: int) -> AsyncIterator[list[int]]:
    """Clients that keep their connection for as long as they can, and ask again when they are answered. Gives the
    statuses of all answers.
    """
    statuses: list[int] = []
    stops = asyncio.Event()
    request = h11.Request(method="GET", target=GET, headers=[("host", "edge")])

    async def visit() -> None:
        connection: HttpConnection | None = None
        while not stops.is_set():
            if connection is None:
                endpoint = random.choice([each for each in endpoints if each.is_ready])
                connection = await HttpConnection.open(endpoint.proxy_port)
            response, _ = await connection.request(request)
            statuses.append(response.status_code)
            if not connection.is_open:
                connection.close()
                connection = None
            await asyncio.sleep(0.002)
        if connection is not None:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(visit())
        yield statuses
        stops.set()


async def test_a_rolling_restart_loses_no_request(image: Path, backend: Backend) -> None:
    """No request is lost behind sidecars while clients keep their connections."""
    answers_after(backend, 0.005)
    arguments = ("--contracts", image, "--upstream", f"*=127.0.0.1:{backend.port}")
    settings = {"SERVICE_MESH": "true", "DRAIN_QUIET_S": "0.5", "LOG_LEVEL": "error"}
    async with AsyncExitStack() as stack:
        endpoints = []
        running = {}
        for port in free_ports(2):
            proxy = await stack.enter_async_context(HttpProxy(port))
            endpoints.append(Endpoint(port, proxy.port))
            running[port] = await stack.enter_async_context(process(*arguments, "--port", str(port), **settings))
            await wait_until_ready(f"http://127.0.0.1:{port}")
        async with visitors(endpoints, 8) as statuses:
            for endpoint in endpoints:
                seen = len(statuses)
                while len(statuses) < seen + 100:
                    await asyncio.sleep(0.01)
                endpoint.is_ready = False
                old = running[endpoint.port]
                old.send_signal(signal.SIGTERM)
                assert await old.wait() == 0
                await stack.enter_async_context(process(*arguments, "--port", str(endpoint.port), **settings))
                await wait_until_ready(f"http://127.0.0.1:{endpoint.port}")
                endpoint.is_ready = True
        assert set(statuses) == {200}
        assert len(statuses) > 200


@pytest.mark.parametrize("service_mesh", [True, False])
async def test_a_drain_ends_even_if_clients_stay(library: Contract, backend: Backend, service_mesh: bool) -> None:
    """Behind a proxy that keeps its connections, every request is answered until the limit, and then with 503."""
    answers_after(backend, 0)
    settings: dict[str, Any] = {"service_mesh": service_mesh, "drain_quiet_s": 2.0, "drain_s_max": 0.4}
    async with AsyncExitStack() as stack:
        edge = await stack.enter_async_context(edge_of(library, backend.port, **settings))
        url = str(edge.base_url)
        before = await edge.get(GET)
        stopping = asyncio.create_task(stack.aclose())
        answers: list[httpx.Response] = []
        async with httpx.AsyncClient(base_url=url) as client:
            while not answers or answers[-1].status_code == 200:
                answers.append(await client.get(GET))
        await stopping
    assert "l5d-proxy-connection" not in before.headers
    assert "connection" not in before.headers
    leaving = [each for each in answers if each.headers.get("connection") == "close"]
    assert {each.status_code for each in leaving} == {200, 503}
    mark = "close" if service_mesh else None
    assert {each.headers.get("l5d-proxy-connection") for each in leaving} == {mark}
    error = answers[-1].json()["error"]
    assert (error["status"], error["details"][0]["reason"]) == ("UNAVAILABLE", "SHUTTING_DOWN")
