"""The CPU time that the runtime of the mesh adds to one unary call of grpc.aio, at the service.

Run it as `make bench-service`. Both services return the same product, and get the same calls in turn, sixteen at a
time. The goal is 1.4 times the time of the bare service.
"""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import psutil
from meshwright.catalog.v1.catalog_pb import GetProductRequest

from benchmarks.machine import describe, lines
from benchmarks.products import PRODUCT, SERVICE
from benchmarks.program import cpu_s, printed_port, program
from benchmarks.rounds import Spread

ROUNDS = 9
CALLS = 6000
AT_ONCE = 16


def main() -> None:
    """Prints the table."""
    print("\n".join(lines(describe(["grpcio", "protobuf-py", "protovalidate", "uvloop"]))))
    figures: dict[str, list[float]] = {"ours": [], "bare": [], "bare again": []}
    with serving("ours") as ours, serving("bare") as bare, serving("bare") as again:
        for _ in range(ROUNDS):
            for name, service in zip(figures, (ours, bare, again), strict=True):
                figures[name].append(service.cpu_us_a_call())
    print(f"GetProduct, {CALLS} calls a round, {ROUNDS} rounds: µs CPU a call")
    for name, values in figures.items():
        ratio = Spread.of_ratios(values, figures["bare"]).text(2)
        print(f"{name:10} {Spread.of(values).text(1)}, to the bare service {ratio}")


class Served:
    """A running service."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = psutil.Process(process.pid)
        self._port = printed_port(process)

    def cpu_us_a_call(self) -> float:
        """Calls the service, and returns the CPU time that each call took it, in microseconds."""
        asyncio.run(call(self._port, CALLS // 10))
        before = cpu_s(self._process)
        asyncio.run(call(self._port, CALLS))
        return (cpu_s(self._process) - before) / CALLS * 1e6


@contextlib.contextmanager
def serving(side: str) -> Iterator[Served]:
    """Runs a service during the block."""
    with program("-m", "benchmarks.products", side, stdout=subprocess.PIPE) as process:
        yield Served(process)


async def call(port: int, count: int) -> None:
    """Calls GetProduct so many times. Exits with a message if one answer is not the product."""
    request, expected = GetProductRequest(name=PRODUCT.name).to_binary(), PRODUCT.to_binary()
    calls = iter(range(count))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        method: Any = channel.unary_unary(f"/{SERVICE}/GetProduct")

        async def repeat() -> None:
            for _ in calls:
                if await method(request, timeout=5) != expected:
                    raise SystemExit("the service answered something else")

        await asyncio.gather(*(repeat() for _ in range(AT_ONCE)))


if __name__ == "__main__":
    main()
