"""The operations port."""

import asyncio
import contextlib
import socket
import struct
import threading
import time

import httpx
import pytest
from starlette.applications import Starlette

from mesh.errors import Unavailable
from mesh.http import HttpServer
from mesh.listening import PortInUse
from mesh.operations import OperationsServer, Readiness


class Part:
    """A part of a process that fails as it is told to."""

    def __init__(self, name: str, failure: Exception | None = None) -> None:
        self.name = name
        self.failure = failure

    async def check(self) -> None:
        """Raises the failure."""
        if self.failure is not None:
            raise self.failure


async def get(readiness: Readiness, path: str) -> httpx.Response:
    """One request to an operations port of this readiness."""
    async with (
        OperationsServer(readiness, "127.0.0.1", 0) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        return await client.get(path)


async def test_a_process_is_ready_between_start_and_drain() -> None:
    """Readiness begins when the process serves, and ends when it drains."""
    readiness = Readiness()
    starting = await get(readiness, "/readyz")
    readiness.serve()
    serving = await get(readiness, "/readyz")
    readiness.drain()
    draining = await get(readiness, "/readyz")
    assert [answer.status_code for answer in (starting, serving, draining)] == [503, 200, 503]
    assert serving.json() == {"ready": True, "checks": {}}


async def test_readiness_names_what_is_missing_and_nothing_more() -> None:
    """A known error says its sentence, an unknown one nothing of its text."""
    readiness = Readiness()
    readiness.serve()
    readiness.add(Part("good"))
    readiness.add(Part("catalog", Unavailable("can't be reached")))
    readiness.add(Part("database", RuntimeError("password=hunter2")))
    answer = await get(readiness, "/readyz")
    assert answer.status_code == 503
    checks = {"catalog": "can't be reached", "database": "does not work"}
    assert answer.json() == {"ready": False, "checks": checks}


async def test_a_process_lives_and_tells_its_metrics() -> None:
    """/livez answers whatever the readiness; /metrics is in the Prometheus format."""
    readiness = Readiness()
    assert (await get(readiness, "/livez")).status_code == 200
    metrics = await get(readiness, "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "python_info" in metrics.text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("POST", "/livez", 501), ("HEAD", "/livez", 200)]
)
async def test_there_is_nothing_else(method: str, path: str, status: int) -> None:
    """Other paths and methods are refused; HEAD has no body. The server does not say what it is made of."""
    async with (
        OperationsServer(Readiness(), "127.0.0.1", 0) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert "python" not in answer.headers["server"].lower()
    assert method != "HEAD" or (answer.content, answer.headers["content-length"]) == (b"", "6")


async def test_a_process_whose_event_loop_hangs_does_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """/livez is answered by the event loop, or not at all."""
    monkeypatch.setattr("mesh.operations.PAGE_TIMEOUT_S", 0.1)
    async with OperationsServer(Readiness(), "127.0.0.1", 0) as server:
        asked = asyncio.create_task(asyncio.to_thread(httpx.get, f"http://127.0.0.1:{server.port}/livez", timeout=30))
        while server._loop.is_running() and not asked.done():  # the loop hangs, but for this
            time.sleep(0.2)  # noqa: ASYNC251 # this is the hanging
            await asyncio.sleep(0)
        assert (await asked).status_code == 503


async def test_a_client_that_hangs_up_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """Load balancers probe a port by opening it and resetting the connection; that is nothing to log."""
    async with OperationsServer(Readiness(), "127.0.0.1", 0) as server:
        for sent in (b"GET /li", b"GET /metrics HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed
                client.sendall(sent)
        while any("process_request_thread" in thread.name for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
    assert capsys.readouterr() == ("", "")


async def test_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed at once, those that are open are served, and then there is room again."""
    monkeypatch.setattr("mesh.operations.CONNECTIONS_MAX", 1)
    async with OperationsServer(Readiness(), "127.0.0.1", 0) as server:
        first = await asyncio.open_connection("127.0.0.1", server.port)
        assert await _ask(*await asyncio.open_connection("127.0.0.1", server.port)) == b""
        assert (await _ask(*first)).endswith(b"alive\n")
        while not (answer := await _ask(*await asyncio.open_connection("127.0.0.1", server.port))):
            await asyncio.sleep(0.01)
    assert answer.endswith(b"alive\n")


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    answer = b""
    with contextlib.closing(writer), contextlib.suppress(ConnectionError):
        writer.write(b"GET /livez HTTP/1.1\r\n\r\n")
        answer = await reader.read()
    return answer


async def test_a_port_in_use_is_said_in_a_sentence() -> None:
    """A second server on the port says which port it is."""
    async with OperationsServer(Readiness(), "127.0.0.1", 0) as server:
        with pytest.raises(PortInUse, match=f"Can't listen on 127.0.0.1:{server.port}: Address already in use"):
            OperationsServer(Readiness(), "127.0.0.1", server.port)


async def test_an_http_server_whose_start_is_cancelled_ends() -> None:
    """Nothing goes on in the background, and its port is free again."""
    before = asyncio.all_tasks()
    server = HttpServer(Starlette(), "127.0.0.1", 0)
    starting = asyncio.create_task(server.__aenter__())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert asyncio.all_tasks() <= before
    async with HttpServer(Starlette(), "127.0.0.1", server.port):
        pass
