"""Flame graphs of the edge while it answers `get` with everything on: with gRPC's library, and with its own transport.

Run it as `make flames`. py-spy takes samples of the stacks. A call of the operating system looks longer in them than
it is. The widths are in the scale of the CPU time of a call, as the operating system accounts it without py-spy.
"""

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.flame_graph import Graph, Stacks, below, draw, parse
from benchmarks.http_load import Load, apply_apart
from benchmarks.program import ROOT, tree_cpu_s
from benchmarks.unary_sides import FULL, Side, sides
from benchmarks.unary_work import Work, works

SAMPLER: Final = ROOT / ".tools" / "flames" / "bin" / "py-spy"
OUTPUT: Final = ROOT / "docs" / "flames.svg"
TITLES: Final = {"grpc": "with gRPC's library", "http2": "with the edge's own transport"}
CALLS: Final = 20_000
CONNECTIONS: Final = 16
SAMPLES_PER_S: Final = 500
LOOP: Final = "Runner.run "
"""The function from which the event loop calls everything."""


def main() -> None:
    """Records both transports, and writes the graphs."""
    graphs = [record(transport, title) for transport, title in TITLES.items()]
    OUTPUT.write_text(draw(graphs))
    for graph in graphs:
        print(graph.title)


def record(transport: str, title: str) -> Graph:
    """Returns the graph of one transport."""
    os.environ["UPSTREAM_TRANSPORT"] = transport
    [get, *_] = works()
    with TemporaryDirectory() as folder, sides(Path(folder), (get,)) as running:
        [side] = [each for each in running if each.name == FULL]
        apply(side, get, CALLS // 4)
        before = tree_cpu_s(side.pid)
        apply(side, get, CALLS)
        call_us = (tree_cpu_s(side.pid) - before) / CALLS * 1e6
        stacks = sample(side, get, Path(folder) / "stacks")
    return Graph(f"get, everything on, {title}: {call_us:.0f} µs of CPU time a call", below(stacks, LOOP), call_us)


def sample(side: Side, work: Work, file: Path) -> Stacks:
    """Returns the stacks of a side under load."""
    rate, form = ("--rate", str(SAMPLES_PER_S)), ("--function", "--format", "raw")
    command = (str(SAMPLER), "record", "--pid", str(side.pid), *rate, *form, "--output", str(file))
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sampler:
        apply(side, work, CALLS)
        sampler.send_signal(signal.SIGINT)
    return parse(file.read_text())


def apply(side: Side, work: Work, count: int) -> None:
    """Sends calls as fast as they are answered."""
    load = Load(side.port, work.requests(side.headers, count), CONNECTIONS, None, keep_bodies=False)
    asyncio.run(apply_apart(load))


if __name__ == "__main__":
    main()
