"""The start of the edge and of Envoy's transcoder with 14,000 rules: the time until they serve, and their memory. Also
the time of one match in the edge's router.

Run it as `make bench-start`; IMAGE=<file> replaces the image that benchmarks/image.py generates. The goals are 3 s,
400 MB and 3 µs, for the last rule as for the first.
"""

import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx
import psutil

from benchmarks.image import make
from benchmarks.program import cpu_s, fronts, program
from edge.contract.contract import load
from edge.contract.route import Route
from edge.httprule.router import Match, Router
from edge.httprule.template import REST
from local.ports import free_ports

ROUNDS: Final = 5
MATCHES: Final = 2_000
MATCH_ROUNDS: Final = 50


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder, "image.binpb")
        if len(sys.argv) == 1:
            image.write_bytes(make().SerializeToString())
        contract = load(image)
        print(f"{len(contract.routes)} rules of {len(contract.services)} services, {image.stat().st_size / 1e6:.1f} MB")
        (port,) = free_ports(1)
        fronts_of = fronts(image, 1, port, Path(folder))
        starts = [{name: start(command, port) for name, command in fronts_of.items()} for _ in range(ROUNDS)]
    for name in fronts_of:
        print(name)
        for index, what in enumerate(("s until it serves", "s of processor time until then", "MB of memory then")):
            values = [each[name][index] for each in starts]
            print(f"{statistics.median(values):8.2f} {what} ({min(values):.2f} to {max(values):.2f})")
    routes, router = distinct(contract.routes)
    middle = len(routes) // 2
    print("a match in the edge")
    for what, some in (("first", routes[:100]), ("middle", routes[middle : middle + 100]), ("last", routes[-100:])):
        print(f"{match_us(router, some):8.2f} µs of the {what} routes")


def start(command: list[object], port: int) -> tuple[float, float, float]:
    """Starts a program. Returns the seconds until it responds, its CPU seconds until then, and its memory in MB."""
    began = time.perf_counter()
    with program(*command) as process:
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/livez")
                break
            if process.poll() is not None:
                sys.exit("it has ended")
            time.sleep(0.01)
        seconds, used = time.perf_counter() - began, psutil.Process(process.pid)
        return seconds, cpu_s(used), used.memory_info().rss / 1e6


def distinct(routes: tuple[Route, ...]) -> tuple[list[Route], Router[Route]]:
    """Returns a router and the routes that it contains."""
    router: Router[Route] = Router()
    return [route for route in routes if router.add(route.http_method, route.template, route) is None], router


def match_us(router: Router[Route], routes: list[Route]) -> float:
    """Returns the CPU time of one match in microseconds, in the best of many rounds."""
    requests = [(route.http_method, url(route)) for route in routes] * (MATCHES // len(routes))
    if not all(isinstance(router.match(*request), Match) for request in requests[: len(routes)]):
        sys.exit("a route is not found")
    rounds = []
    for _ in range(MATCH_ROUNDS):
        began = time.process_time()
        for method, path in requests:
            router.match(method, path)
        rounds.append((time.process_time() - began) / len(requests) * 1e6)
    return min(rounds)


def url(route: Route) -> str:
    """Returns a path that matches a route."""
    template = route.template
    segments = [
        segment if literal else ("a/b" if segment == REST else "something")
        for segment, literal in zip(template.segments, template.literal, strict=True)
    ]
    return f"/{'/'.join(segments)}{':' if template.verb else ''}{template.verb}"


if __name__ == "__main__":
    main()
