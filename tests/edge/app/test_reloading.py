"""The reload of contracts while they are served."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from local.ports import free_ports
from tests.edge.backend import Backend
from tests.edge.command import process, wait_until_ready
from tests.edge.contracts import LIBRARY, compile_image

LIMITED = 'get: "/v1/limited"'


class Edge:
    """A running edge, and the folder that its image is in."""

    def __init__(self, folder: Path, image: Path, url: str, client: httpx.AsyncClient, pid: int) -> None:
        self.folder = folder
        self.image = image
        self.url = url
        self.client = client
        self.pid = pid

    def put(self, text: str) -> None:
        """Puts an image of this contract in place, as a whole."""
        compile_image(text, self.folder, "new.proto")
        (self.folder / "new.proto.binpb").replace(self.image)

    async def status(self, path: str) -> int:
        """The status of a GET."""
        return (await self.client.get(f"{self.url}{path}")).status_code

    async def wait_for(self, path: str, status: int) -> None:
        """Returns when the path answers with this status."""
        while await self.status(path) != status:
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def running(folder: Path, backend: Backend, contracts: Path, **settings: str) -> AsyncIterator[Edge]:
    """Runs the edge while the block runs."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    arguments = ("--contracts", contracts, "--upstream", f"*=127.0.0.1:{backend.port}", "--port", str(port))
    # Its output is not read, so a full pipe would block it.
    settings = {"RELOAD_EVERY_S": "0.1", "LOG_LEVEL": "error", **settings}
    async with process(*arguments, **settings) as child, httpx.AsyncClient() as client:
        await wait_until_ready(url)
        yield Edge(folder, contracts, url, client, child.pid)


@pytest.fixture
async def edge(tmp_path: Path, backend: Backend) -> AsyncIterator[Edge]:
    """Returns an edge of the library's contract that checks for changes often."""
    compile_image(LIBRARY, tmp_path)
    async with running(tmp_path, backend, tmp_path / "test.proto.binpb") as edge:
        yield edge


async def test_a_changed_image_is_served_without_a_lost_request(edge: Edge, backend: Backend) -> None:
    """New routes appear and old ones disappear, also in the documentation, and requests during the reload are
    answered.
    """
    entered, free = asyncio.Event(), asyncio.Event()

    async def answer(*_: object) -> bytes:
        entered.set()
        await free.wait()
        return b""

    backend.answer = answer
    running = asyncio.ensure_future(edge.client.get(f"{edge.url}/v1/limited"))
    await entered.wait()
    backend.answer = None
    statuses: list[int] = []

    async def ask() -> None:
        while True:
            statuses.append(await edge.status("/v1/books/a"))

    asking = asyncio.create_task(ask())
    edge.put(LIBRARY.replace(LIMITED, 'get: "/v2/limited"'))
    await edge.wait_for("/v2/limited", 200)
    assert await edge.status("/v1/limited") == 404
    asking.cancel()
    free.set()
    assert (await running).status_code == 200
    assert set(statuses) == {200}
    paths = (await edge.client.get(f"{edge.url}/openapi.json")).json()["paths"]
    assert "/v2/limited" in paths
    assert "/v1/limited" not in paths


async def test_a_broken_contract_changes_nothing(edge: Edge) -> None:
    """The previous contract is still served, and the next valid one is loaded, which resets no rate limit."""
    edge.put(LIBRARY.replace(LIMITED, 'get: "/v2/{nope}"'))
    await asyncio.sleep(0.5)
    assert await edge.status("/v1/limited") == 200
    edge.image.write_bytes(b"\xff\xff")
    await asyncio.sleep(0.5)
    assert await edge.status("/v1/limited") == 200
    edge.put(LIBRARY.replace(LIMITED, 'get: "/v2/limited"'))
    await edge.wait_for("/v2/limited", 429)


async def test_sighup_reloads_at_once(tmp_path: Path, backend: Backend) -> None:
    """SIGHUP reloads the contracts even if the edge does not check for changes."""
    compile_image(LIBRARY, tmp_path)
    async with running(tmp_path, backend, tmp_path / "test.proto.binpb", RELOAD_EVERY_S="0") as edge:
        edge.put(LIBRARY.replace(LIMITED, 'get: "/v2/limited"'))
        await asyncio.sleep(0.3)
        assert await edge.status("/v2/limited") == 404
        os.kill(edge.pid, signal.SIGHUP)
        await edge.wait_for("/v2/limited", 200)


async def test_mounted_config_maps_are_followed(tmp_path: Path, backend: Backend) -> None:
    """Kubernetes replaces a link to the folder of a volume's files; the edge notices it for an image and for a
    folder.
    """
    for name, text in (("..1", LIBRARY), ("..2", LIBRARY.replace(LIMITED, 'get: "/v2/limited"'))):
        (tmp_path / name).mkdir()
        compile_image(text, tmp_path / name, "library.proto")
    # Give both the same modification time, so that it can't distinguish them.
    for name in ("..1", "..2"):
        for file in (tmp_path / name).iterdir():
            os.utime(file, (time.time(), 1_700_000_000))
    (tmp_path / "..data").symlink_to("..1")
    for link in ("library.proto", "library.proto.binpb"):
        (tmp_path / link).symlink_to(f"..data/{link}")
    async with (
        running(tmp_path, backend, tmp_path / "library.proto.binpb") as image,
        running(tmp_path, backend, tmp_path) as folder,
    ):
        assert (await image.status("/v1/limited"), await folder.status("/v1/limited")) == (200, 200)
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").replace(tmp_path / "..data")
        await image.wait_for("/v2/limited", 200)
        await folder.wait_for("/v2/limited", 200)


async def test_lenient_leaves_out_an_invalid_rule(tmp_path: Path, backend: Backend) -> None:
    """--lenient serves the other routes, and --check reports the same."""
    compile_image(LIBRARY.replace(LIMITED, 'get: "/v1/{limited}"'), tmp_path)
    async with running(tmp_path, backend, tmp_path / "test.proto.binpb", LENIENT="true") as edge:
        assert (await edge.status("/v1/books/a"), await edge.status("/v1/limited")) == (200, 404)


async def test_calls_in_progress_count_after_a_reload(tmp_path: Path, backend: Backend) -> None:
    """A reload admits no more concurrent calls than the limit, which calls of the previous contract count towards."""
    entered, free = asyncio.Event(), asyncio.Event()

    async def answer(*_: object) -> bytes:
        entered.set()
        await free.wait()
        return b""

    compile_image(LIBRARY, tmp_path)
    async with running(tmp_path, backend, tmp_path / "test.proto.binpb", CONCURRENT_REQUESTS_MAX="1") as edge:
        backend.answer = answer
        before = asyncio.ensure_future(edge.client.get(f"{edge.url}/v1/limited"))
        await entered.wait()
        edge.put(LIBRARY.replace(LIMITED, 'get: "/v2/limited"'))
        await edge.wait_for("/v1/limited", 404)
        assert await edge.status("/v1/books/a") == 503
        free.set()
        assert (await before).status_code == 200
        assert await edge.status("/v1/books/a") == 200
