"""The start of the edge with 14,000 rules: how long until it serves, in how much memory, and how long a match takes.

Run it as `make bench-start`; IMAGE=<file> takes another image than the one that benchmarks/image.py makes. The goals
are 3 s, 400 MB and 3 µs, for the last rule as for the first.
"""

import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import httpx
import psutil

from edge.contract import Route, load
from edge.path_template import REST
from edge.router import Match, Router
from mesh.local.ports import free_ports

ROOT: Final = Path(__file__).resolve().parent.parent
ROUNDS: Final = 5
MATCHES: Final = 2_000
MATCH_ROUNDS: Final = 50


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder, "image.binpb")
        if len(sys.argv) == 1:
            subprocess.run([sys.executable, "-m", "benchmarks.image", image], cwd=ROOT, check=True)
        starts = [start(image) for _ in range(ROUNDS)]
        contract = load(image)
        print(f"{len(contract.routes)} rules of {len(contract.services)} services, {image.stat().st_size / 1e6:.1f} MB")
    for index, what in enumerate(("until it serves, s", "processor time, s", "memory, MB")):
        values = [each[index] for each in starts]
        print(f"{what:20} {statistics.median(values):7.2f} ({min(values):.2f} to {max(values):.2f})")
    routes, router = distinct(contract.routes)
    middle = len(routes) // 2
    for what, some in (("first", routes[:100]), ("middle", routes[middle : middle + 100]), ("last", routes[-100:])):
        print(f"{f'match, {what}, µs':20} {match_us(router, some):7.2f}")


def start(image: Path) -> tuple[float, float, float]:
    """The seconds until the edge serves, its CPU time until then, and the megabytes that it then has."""
    (port,) = free_ports(1)
    arguments = ["--contracts", str(image), "--upstream", "*=localhost:1", "--port", str(port)]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}", "LOG_LEVEL": "error"}
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "edge", *arguments], cwd=ROOT, env=environment)
    try:
        while True:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://127.0.0.1:{port}/livez").raise_for_status()
                break
            if process.poll() is not None:
                sys.exit("the edge has ended")
            time.sleep(0.01)
        seconds, used = time.perf_counter() - began, psutil.Process(process.pid)
        cpu = used.cpu_times()
        return seconds, cpu.user + cpu.system, used.memory_info().rss / 1e6
    finally:
        process.kill()
        process.wait()


def distinct(routes: tuple[Route, ...]) -> tuple[list[Route], Router[Route]]:
    """A router, and the routes that it leads to."""
    router: Router[Route] = Router()
    return [route for route in routes if router.add(route.http_method, route.template, route) is None], router


def match_us(router: Router[Route], routes: list[Route]) -> float:
    """The microseconds of processor time of one match, in the best of many rounds."""
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
    """A path that fits a route."""
    template = route.template
    segments = [
        segment if literal else ("a/b" if segment == REST else "something")
        for segment, literal in zip(template.segments, template.literal, strict=True)
    ]
    return f"/{'/'.join(segments)}{':' if template.verb else ''}{template.verb}"


if __name__ == "__main__":
    main()
