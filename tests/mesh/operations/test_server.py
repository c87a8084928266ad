"""The HTTP server of the operations port."""

import asyncio
import contextlib
import socket
import struct
import threading

import httpx
import pytest

from mesh.listening import PortInUse, bind
from mesh.operations import OpsServer, Readiness
from tests.mesh.operations.client import get


async def test_livez_and_metrics_are_served() -> None:
    """/livez responds regardless of readiness; /metrics is in the format of Prometheus."""
    readiness = Readiness()
    assert (await get(readiness, "/livez")).status_code == 200
    metrics = await get(readiness, "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert "python_info" in metrics.text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/", 404), ("POST", "/livez", 501), ("HEAD", "/livez", 200)]
)
async def test_there_is_nothing_else(method: str, path: str, status: int) -> None:
    """Other paths and methods are rejected; HEAD has no body. The Server header does not reveal the implementation."""
    async with (
        OpsServer(Readiness(), bind("127.0.0.1", 0)) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert "python" not in answer.headers["server"].lower()
    assert method != "HEAD" or (answer.content, answer.headers["content-length"]) == (b"", "6")


async def test_a_process_whose_event_loop_hangs_does_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    """/livez fails while the event loop is blocked."""
    monkeypatch.setattr("mesh.operations.server.PAGE_TIMEOUT_S", 0.1)
    async with OpsServer(Readiness(), bind("127.0.0.1", 0)) as server:
        answer = httpx.get(f"http://127.0.0.1:{server.port}/livez", timeout=30)  # noqa: ASYNC210 # this is the hanging
        assert answer.status_code == 503


async def test_a_client_that_hangs_up_leaves_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """Load balancers probe a port by opening and resetting a connection; that is not logged."""
    async with OpsServer(Readiness(), bind("127.0.0.1", 0)) as server:
        for sent in (b"GET /li", b"GET /metrics HTTP/1.1\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed
                client.sendall(sent)
        while any("process_request_thread" in thread.name for thread in threading.enumerate()):
            await asyncio.sleep(0.01)
    assert capsys.readouterr() == ("", "")


async def test_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection beyond the limit is closed at once, and open ones are served."""
    monkeypatch.setattr("mesh.operations.server.CONNECTIONS_MAX", 1)
    async with OpsServer(Readiness(), bind("127.0.0.1", 0)) as server:
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


async def test_a_port_in_use_is_reported() -> None:
    """The error of a second server names the port."""
    async with OpsServer(Readiness(), bind("127.0.0.1", 0)) as server:
        with pytest.raises(PortInUse, match=f"Can't listen on 127.0.0.1:{server.port}: Address already in use"):
            bind("127.0.0.1", server.port)
