"""The CPU time of one GetOrder at the edge, and at the same method written by hand with FastAPI, pydantic and grpc.aio.

Run it as `make bench-edge`. Both call the same backend and get the same load in turn. The figure is the CPU time of
each process per request, as the operating system accounts it. Neither checks tokens.
"""

import asyncio
import contextlib
import subprocess
import time

import httpx
import psutil

from benchmarks.http_load import Load, apply_apart, request
from benchmarks.program import cpu_s, printed_port, program
from benchmarks.rounds import Spread
from local.ports import free_ports

ROUNDS = 7
REQUESTS = 6000
CONNECTIONS = 16
PATH = "/v1/orders/0d1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def main() -> None:
    """Prints the table."""
    edge_port, twin_port = free_ports(2)
    with program("benchmarks/backend.py", stdout=subprocess.PIPE) as backend:
        address = f"127.0.0.1:{printed_port(backend)}"
        edge = ("-m", "edge", "--contracts", "gen/contracts.binpb", "--upstream", f"*={address}", "--port", edge_port)
        with program(*edge) as ours, program("benchmarks/twin.py", address, twin_port) as twin:
            ports = {"edge": (ours, edge_port), "hand-written": (twin, twin_port)}
            check_same([wait_for(url(port)) for _, port in ports.values()])
            figures: dict[str, list[float]] = {name: [] for name in ports}
            for _ in range(ROUNDS):
                for name, (process, port) in ports.items():
                    figures[name].append(cpu_us_a_request(process, port))
    report(figures)


def report(figures: dict[str, list[float]]) -> None:
    """Prints the medians, the spread, and the ratio of each round."""
    print(f"GetOrder, {REQUESTS} requests a round over {CONNECTIONS} connections, median of {ROUNDS} rounds")
    for name, values in figures.items():
        print(f"{name:13} {Spread.of(values).text(1)} µs CPU a request")
    print(f"{'ratio':13} {Spread.of_ratios(figures['edge'], figures['hand-written']).text(2)}")


def url(port: int) -> str:
    """Returns the URL of the order."""
    return f"http://127.0.0.1:{port}{PATH}"


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


def cpu_us_a_request(process: "subprocess.Popen[bytes]", port: int) -> float:
    """Returns the CPU time of a process per request under load, in microseconds."""
    apply_load(port, REQUESTS // 10)
    measured = psutil.Process(process.pid)
    before = cpu_s(measured)
    apply_load(port, REQUESTS)
    return (cpu_s(measured) - before) / REQUESTS * 1e6


def apply_load(port: int, count: int) -> None:
    """Gets the order so many times. Exits with a message if one response is not 200."""
    get = request("GET", PATH, {"accept": "application/json"})
    answers = asyncio.run(apply_apart(Load(port, [get] * count, CONNECTIONS)))
    if failed := next((answer for answer in answers if answer.status != httpx.codes.OK), None):
        raise SystemExit(f"the load got {failed.status}: {failed.body[:500]}")


if __name__ == "__main__":
    main()
