"""The CPU time of one GetOrder at the edge, and at the same method written by hand with FastAPI, pydantic and grpc.aio.

Run it as `make bench-edge`. Both call the same backend and get the same load in turn. The figure is the CPU time of
each process per request, as the operating system accounts it. Neither checks tokens.
"""

import contextlib
import statistics
import subprocess
import sys
import time

import httpx
import psutil

from benchmarks.program import ROOT, cpu_s, program
from local.ports import free_ports

ROUNDS = 7
REQUESTS = 6000
CONNECTIONS = 16


def main() -> None:
    """Prints the table."""
    edge_port, twin_port = free_ports(2)
    with program("benchmarks/backend.py", stdout=subprocess.PIPE) as backend:
        assert backend.stdout is not None
        address = f"127.0.0.1:{int(backend.stdout.readline())}"
        edge = ("-m", "edge", "--contracts", "gen/contracts.binpb", "--upstream", f"*={address}", "--port", edge_port)
        with program(*edge) as ours, program("benchmarks/twin.py", address, twin_port) as twin:
            ports = {"edge": (ours, edge_port), "hand-written": (twin, twin_port)}
            check_same([wait_for(url(port)) for _, port in ports.values()])
            figures: dict[str, list[float]] = {name: [] for name in ports}
            for _ in range(ROUNDS):
                for name, (process, port) in ports.items():
                    figures[name].append(cpu_us_a_request(process, url(port)))
    report(figures)


def report(figures: dict[str, list[float]]) -> None:
    """Prints the medians, the spread, and the ratio of each round."""
    print(f"GetOrder, {REQUESTS} requests a round over {CONNECTIONS} connections, median of {ROUNDS} rounds")
    for name, values in figures.items():
        print(f"{name:13} {statistics.median(values):6.1f} µs CPU a request ({min(values):.1f} to {max(values):.1f})")
    ratios = [ours / twin for ours, twin in zip(figures["edge"], figures["hand-written"], strict=True)]
    print(f"ratio         {statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def url(port: int) -> str:
    """Returns the URL of the order."""
    return f"http://127.0.0.1:{port}/v1/orders/0d1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def wait_for(address: str) -> httpx.Response:
    """Waits for the first successful response and returns it."""
    for _ in range(200):
        with contextlib.suppress(httpx.TransportError):
            answer = httpx.get(address)
            if answer.status_code == httpx.codes.OK:
                return answer
        time.sleep(0.05)
    raise SystemExit(f"{address} does not answer")


def check_same(answers: list[httpx.Response]) -> None:
    """Exits with a message if the two responses differ, because the comparison would be meaningless."""
    ours, twin = (answer.json() for answer in answers)
    if ours["lines"] != twin["lines"] or ours["total"] != twin["total"] or ours.keys() != twin.keys():
        raise SystemExit(f"the two answer differently:\n{ours}\n{twin}")


def cpu_us_a_request(process: "subprocess.Popen[bytes]", address: str) -> float:
    """Returns the CPU time of a process per request under load, in microseconds."""
    load = [sys.executable, "benchmarks/load.py", address, str(CONNECTIONS)]
    subprocess.run([*load, str(REQUESTS // 10)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    measured = psutil.Process(process.pid)
    before = cpu_s(measured)
    subprocess.run([*load, str(REQUESTS)], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return (cpu_s(measured) - before) / (REQUESTS // CONNECTIONS * CONNECTIONS) * 1e6


if __name__ == "__main__":
    main()
