"""An edge with several workers: one port, one count of calls, one page of metrics."""

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from edge.settings import EdgeSettings
from edge.workers.worker_settings import worker_settings
from local.ports import free_ports
from tests.edge.backend import Backend
from tests.edge.command import ENVIRONMENT, process, run, wait_until_ready
from tests.edge.contracts import compile_image

TIMEOUT_S = 30.0

CONTRACT = """
syntax = "proto3";
package things.v1;
import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";
message Thing { string name = 1; }
message GetThingRequest { string name = 1; }
service Things {
  rpc GetThing(GetThingRequest) returns (Thing) {
    option (google.api.http) = {get: "/v1/things/{name}"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc CountThing(GetThingRequest) returns (Thing) {
    option (google.api.http) = {get: "/v1/counted/{name}"};
    option (meshwright.policy.v1.method) = {
      public: true
      rate_limit: {requests: 20 per {seconds: 3600}}
    };
  }
}
"""


def _runs(process: psutil.Process) -> bool:
    """Returns whether a process has not ended; it may end at any time."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


@dataclass(slots=True)
class Edge:
    """A running edge, its URL and its process."""

    url: str
    process: asyncio.subprocess.Process

    @property
    def workers(self) -> list[psutil.Process]:
        """Returns the running workers."""
        return [each for each in psutil.Process(self.process.pid).children() if _runs(each)]

    async def until_workers(self, count: int, without: int = 0) -> None:
        """Returns once there are this number of workers, not counting the one with the pid `without`."""
        async with asyncio.timeout(TIMEOUT_S):
            while len([each for each in self.workers if each.pid != without]) != count:
                await asyncio.sleep(0.05)

    async def until_listening(self, count: int) -> None:
        """Returns once this number of sockets listen on the port."""
        supervisor, port = psutil.Process(self.process.pid), int(self.url.rpartition(":")[2])
        async with asyncio.timeout(TIMEOUT_S):
            while count != sum(
                each.laddr[1] == port and each.status == psutil.CONN_LISTEN for each in supervisor.net_connections()
            ):
                await asyncio.sleep(0.05)

    async def until_logged(self, event: str) -> None:
        """Returns once the log has a line with this event."""
        log = self.process.stderr
        assert log is not None
        async with asyncio.timeout(TIMEOUT_S):
            while event.encode() not in (line := await log.readline()):
                assert line, "The log has ended."

    async def status_of(self, path: str) -> int:
        """Returns the status of a GET on a connection of its own."""
        async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
            return (await client.get(f"{self.url}{path}")).status_code


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the contract's image as a file."""
    folder = tmp_path_factory.mktemp("image")
    compile_image(CONTRACT, folder)
    return folder / "test.proto.binpb"


@contextlib.asynccontextmanager
async def edge_with(
    image: Path, backend: Backend, *, workers: int = 2, program: Sequence[str] = ("-m", "edge"), **environment: str
) -> AsyncIterator[Edge]:
    """Runs an edge with workers while the block runs."""
    port = free_ports(1)[0]
    options = ("--contracts", image, "--upstream", f"*=127.0.0.1:{backend.port}", "--port", str(port))
    async with process(*options, "--workers", str(workers), program=program, **environment) as child:
        edge = Edge(f"http://127.0.0.1:{port}", child)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await wait_until_ready(edge.url)
            await edge.until_workers(workers)
            yield edge
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.terminate()
            await child.communicate()


@pytest.fixture
def things(backend: Backend) -> Backend:
    """Returns a backend that answers each call with an empty message."""

    async def answer(*_: object) -> bytes:
        return b""

    backend.answer = answer
    return backend


def hold(things: Backend) -> tuple[asyncio.Semaphore, asyncio.Event]:
    """Makes calls wait. Returns a semaphore that each call releases when it arrives, and the event that answers all."""
    entered, free = asyncio.Semaphore(0), asyncio.Event()

    async def answer(*_: object) -> bytes:
        entered.release()
        await free.wait()
        return b""

    things.answer = answer
    return entered, free


async def test_a_rate_limit_holds_for_all_workers(image: Path, things: Backend) -> None:
    """Of forty calls on forty connections, which workers accept as they come, the twenty of the limit succeed."""
    async with edge_with(image, things) as edge:
        statuses = await asyncio.gather(*(edge.status_of("/v1/counted/a") for _ in range(40)))
    assert sorted(statuses) == [200] * 20 + [429] * 20


async def test_metrics_are_those_of_all_workers(image: Path, things: Backend) -> None:
    """Each worker serves the sums, and the successor of a worker continues its counters."""
    async with edge_with(image, things) as edge:
        await asyncio.gather(*(edge.status_of("/v1/things/a") for _ in range(30)))
        killed = edge.workers[0]
        killed.kill()
        await edge.until_workers(2, killed.pid)
        await asyncio.gather(*(edge.status_of("/v1/things/a") for _ in range(30)))
        await edge.status_of("/nothing")
        async with httpx.AsyncClient() as client:
            page = (await client.get(f"{edge.url}/metrics")).text
    counts = dict(re.findall(r'^edge_request_seconds_count\{rpc="([^"]+)"\} (.+)$', page, re.MULTILINE))
    assert counts == {"things.v1.Things.GetThing": "60.0", "none": "1.0"}


ON_A_FULL_DISK = """
import os, sys
namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
mounted = ["sh", "-c", 'mount -t tmpfs -o size=4k tmpfs "$TMPDIR" && exec "$@"', "sh", sys.executable]
os.execvp("unshare", [*namespace, *mounted, *sys.argv[1:]])
"""
"""A program that runs Python with these arguments. TMPDIR has a disk with room for one block."""


@pytest.fixture
def full_disk(tmp_path: Path) -> Path:
    """Returns the folder on which ON_A_FULL_DISK mounts its disk."""
    command, environment = [sys.executable, "-c", ON_A_FULL_DISK, "-V"], {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
    if subprocess.run(command, env=environment, check=False).returncode:
        pytest.skip("This user may not mount a disk.")
    return tmp_path


async def test_a_full_disk_costs_only_metrics(image: Path, things: Backend, full_disk: Path) -> None:
    """A write without room to a file that is mapped would end the worker, with all calls that it serves."""
    full = ("-c", ON_A_FULL_DISK, "-m", "edge")
    async with edge_with(image, things, program=full, TMPDIR=str(full_disk)) as edge:
        workers = {each.pid for each in edge.workers}
        assert [await edge.status_of("/v1/things/a") for _ in range(20)] == [200] * 20
        assert await edge.status_of("/metrics") == 200
        assert {each.pid for each in edge.workers} == workers


def test_every_metric_of_the_edge_has_labels() -> None:
    """Without labels, a value is made at import, before the fork, and would not be in the sums (ADR 58)."""
    code = """
import edge.__main__
from prometheus_client import REGISTRY
from prometheus_client.metrics import MetricWrapperBase
ours = [each for each in REGISTRY._collector_to_names if isinstance(each, MetricWrapperBase)]
print(len(ours), [each._name for each in ours if not each._labelnames or each._metrics])
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True, timeout=60
    )
    count, _, others = ran.stdout.strip().partition(" ")
    assert int(count) >= 3
    assert others == "[]"


async def test_a_killed_worker_is_replaced(image: Path, things: Backend) -> None:
    """Once the supervisor has noticed its end, the port answers all the while."""
    async with edge_with(image, things) as edge:
        killed = edge.workers[1]
        killed.kill()
        await edge.until_logged("worker ended, to be replaced")
        assert [await edge.status_of("/v1/things/a") for _ in range(20)] == [200] * 20
        await edge.until_workers(2, killed.pid)


async def test_a_stop_drains_every_worker(image: Path, things: Backend) -> None:
    """Calls in flight on both workers are answered; then all processes end, and the folder that they shared is gone."""
    entered, free = hold(things)
    async with edge_with(image, things) as edge:
        workers = edge.workers
        calls = [asyncio.ensure_future(edge.status_of("/v1/things/a")) for _ in range(16)]
        for _ in calls:
            await entered.acquire()
        edge.process.send_signal(signal.SIGTERM)
        free.set()
        assert await asyncio.gather(*calls) == [200] * 16
        assert await edge.process.wait() == 0
    assert not any(each.is_running() for each in workers)


async def test_a_stop_refuses_connections_while_calls_are_answered(image: Path, things: Backend) -> None:
    """One worker still has a call in flight, and the other has ended: no connection waits for either."""
    entered, free = hold(things)
    async with edge_with(image, things) as edge:
        call = asyncio.ensure_future(edge.status_of("/v1/things/a"))
        await entered.acquire()
        edge.process.send_signal(signal.SIGTERM)
        await edge.until_workers(1)
        await edge.until_listening(0)
        for _ in range(20):
            with pytest.raises(httpx.ConnectError):
                await edge.status_of("/v1/things/a")
        free.set()
        assert await call == 200


async def test_a_worker_that_drains_alone_gets_no_connections(image: Path, things: Backend) -> None:
    """While it answers its last calls, the other worker serves all connections that are new."""
    entered, free = hold(things)
    async with edge_with(image, things) as edge:
        calls = [asyncio.ensure_future(edge.status_of("/v1/things/a")) for _ in range(16)]
        for _ in calls:
            await entered.acquire()
        edge.workers[1].terminate()
        await edge.until_listening(1)
        assert [await edge.status_of("/nothing") for _ in range(20)] == [404] * 20
        free.set()
        assert await asyncio.gather(*calls) == [200] * 16


async def test_workers_end_with_their_supervisor(image: Path, things: Backend) -> None:
    """No worker outlives a supervisor that is killed, although nobody reads what they log."""
    async with edge_with(image, things) as edge:
        workers = edge.workers
        edge.process.kill()
        await edge.process.wait()
        async with asyncio.timeout(TIMEOUT_S):
            while any(each.is_running() for each in workers):
                await asyncio.sleep(0.05)


async def test_a_hang_up_reloads_the_contract_of_every_worker(image: Path, things: Backend, tmp_path: Path) -> None:
    """SIGHUP to the supervisor: after it, every connection finds the new route."""
    contract = tmp_path / "contract.binpb"
    contract.write_bytes(image.read_bytes())
    async with edge_with(contract, things) as edge:
        compile_image(CONTRACT.replace("/v1/things/", "/v2/things/"), tmp_path)
        contract.write_bytes((tmp_path / "test.proto.binpb").read_bytes())
        edge.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(TIMEOUT_S):
            while set(await asyncio.gather(*(edge.status_of("/v2/things/a") for _ in range(20)))) != {200}:
                await asyncio.sleep(0.05)


def test_an_invalid_contract_is_reported_once(tmp_path: Path) -> None:
    """The first worker starts alone, and its failure ends the start with its status."""
    compile_image(CONTRACT.replace("{name}", "{nam}"), tmp_path)
    options = ("--upstream", "*=127.0.0.1:1", "--port", str(free_ports(1)[0]), "--workers", "4")
    ended = run("--contracts", tmp_path / "test.proto.binpb", *options)
    assert ended.returncode == 1
    assert ended.stderr.count("The contracts can't be served") == 1


def test_workers_need_a_folder_that_they_can_write(image: Path, tmp_path: Path) -> None:
    """The error names the variable that sets another."""
    missing = str(tmp_path / "missing")
    code = f"import sys, tempfile\ntempfile.tempdir = {missing!r}\nfrom edge.__main__ import main\nmain(sys.argv[1:])"
    arguments = ["--contracts", str(image), "--upstream", "*=127.0.0.1:1", "--port", "0", "--workers", "2"]
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "TMPDIR" in ended.stderr


def test_workers_share_the_limits() -> None:
    """Together they hold no more than one process may, but each can hold two bodies."""
    settings = EdgeSettings.model_validate({"contracts": "-", "upstreams": "*=127.0.0.1:1", "workers": 3})
    share = worker_settings(settings)
    assert (share.connections_max, share.concurrent_requests_max, share.concurrent_streams_max) == (667, 334, 334)
    assert share.held_bytes_max == -(-settings.held_bytes_max // 3)
    many = worker_settings(settings.model_copy(update={"workers": 64}))
    assert many.held_bytes_max == 2 * settings.body_bytes_max
