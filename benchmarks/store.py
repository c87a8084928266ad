"""Our store and its twin, written the usual way, at two flows: read a product, and place an order to CONFIRMED.

Run it as `make bench-store`. Both run on one PostgreSQL and, unless BROKER=nats, on one RabbitMQ, one under load at a
time, in turns. The twin is measured twice in each round, to show how much is chance.

The CPU time is that of all processes of a side, as the operating system accounts it; that of PostgreSQL and the broker
during the same time is printed beside it. An order is over once inventory has taken its products out of the stock. It
is confirmed at the commit that says so, by PostgreSQL's own record.
"""

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg

from benchmarks import machine
from benchmarks.http_load import Answer, Load, apply_apart
from benchmarks.program import tree_cpu_s
from benchmarks.rounds import Spread, percentile
from benchmarks.store_sides import Side, broker_of_ours, flow_participants, ours, rabbitmq_users, twin
from local.nats import Nats
from local.postgres import SUPERUSER, Postgres
from local.rabbitmq import RabbitMQServer

OVER_TIMEOUT_S: Final = 120.0
POLL_S: Final = 0.05
RESULTS: Final = Path(__file__).with_name("results") / "store.json"
PACKAGES: Final = ("fastapi", "uvicorn", "httpx", "sqlalchemy", "asyncpg", "aio-pika", "pydantic", "grpcio", "uvloop")
LABELS: Final = ("ours", "twin", "twin again")

Figures: TypeAlias = dict[str, float]
"""The figures of one side in one round."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run. Rates are per second."""

    rounds: int
    reads: int
    orders: int
    connections: int
    read_rate: float
    order_rate: float
    latency_s: float
    idle_orders: int
    idle_rate: float
    broker: str
    seed: int


@dataclass(frozen=True, slots=True)
class Servers:
    """The processes of PostgreSQL and of the brokers."""

    postgres: int
    brokers: Collection[int]

    def used(self, side: Side) -> Mapping[str, float]:
        """Returns the CPU time that each part has used so far, in seconds."""
        return {
            "services": sum(tree_cpu_s(pid) for pid in side.pids.values()),
            "postgres": tree_cpu_s(self.postgres),
            "broker": sum(map(tree_cpu_s, self.brokers)),
            **{f"of {name}": tree_cpu_s(pid) for name, pid in side.pids.items()},
        }


class Progress:
    """The progress of a side's orders, read from its databases."""

    def __init__(self, side: Side, orders: Any, inventory: Any) -> None:
        self._side = side
        self._orders = orders
        self.inventory = inventory

    @classmethod
    @asynccontextmanager
    async def of(cls, side: Side) -> AsyncIterator["Progress"]:
        """Connects to the databases of a side, and closes the connections at the end of the block."""
        orders, inventory = await asyncpg.connect(side.orders_url), await asyncpg.connect(side.inventory_url)
        try:
            yield cls(side, orders, inventory)
        finally:
            await orders.close()
            await inventory.close()

    async def over(self) -> int:
        """Returns the number of orders that are over."""
        return int(await self.inventory.fetchval(self._side.count_committed))

    async def wait_until_over(self, count: int) -> None:
        """Waits until this number of orders are over."""
        deadline = time.monotonic() + OVER_TIMEOUT_S
        while (over := await self.over()) < count:
            if time.monotonic() > deadline:
                raise SystemExit(f"{self._side.name}: {count - over} orders are not over after {OVER_TIMEOUT_S:.0f} s")
            await asyncio.sleep(POLL_S)

    async def changed_at(self, orders: Sequence[UUID]) -> dict[UUID, float]:
        """Returns the times of the last commits that changed these orders, in seconds since the epoch."""
        key = self._side.order_key
        query = f"SELECT {key}, pg_xact_commit_timestamp(xmin) AS time FROM orders WHERE {key} = ANY($1)"
        return {row[key]: row["time"].timestamp() for row in await self._orders.fetch(query, orders)}


class Meter:
    """The measurement of a side."""

    def __init__(self, side: Side, servers: Servers, progress: Progress, plan: Plan) -> None:
        self._side = side
        self._servers = servers
        self._progress = progress
        self._plan = plan

    async def warm_up(self) -> None:
        """Applies a part of each load, whose figures are thrown away."""
        chance = Random(self._plan.seed)
        await self._read(chance, self._plan.reads // 4)
        await self._order(chance, self._plan.orders // 2)

    async def measure(self, chance: Random) -> Figures:
        """Returns the figures of a round."""
        return {
            **await self._cost("read", self._read(chance, self._plan.reads), self._plan.reads),
            **await self._cost("order", self._order(chance, self._plan.orders), self._plan.orders),
            **await self._read_latency(chance),
            **await self._order_latency("order", chance, self._plan.order_rate, self._plan.latency_s),
        }

    async def measure_idle(self, chance: Random) -> Figures:
        """Returns the latencies of orders that are placed one after the other."""
        duration_s = self._plan.idle_orders / self._plan.idle_rate
        return await self._order_latency("idle order", chance, self._plan.idle_rate, duration_s)

    async def _cost(self, flow: str, work: Any, count: int) -> Figures:
        before, begun = self._servers.used(self._side), time.monotonic()
        await work
        took_s, after = time.monotonic() - begun, self._servers.used(self._side)
        used_ms = {part: (after[part] - before[part]) * 1000 / count for part in after}
        figures = {f"{flow} CPU {part}": used for part, used in used_ms.items()}
        figures[f"{flow} CPU all"] = used_ms["services"] + used_ms["postgres"] + used_ms["broker"]
        figures[f"{flow} per core"] = 1000 / used_ms["services"]
        figures[f"{flow} per core of all"] = 1000 / figures[f"{flow} CPU all"]
        figures[f"{flow}s a second"] = count / took_s
        return figures

    async def _read(self, chance: Random, count: int) -> None:
        requests = self._side.reads(count, chance)
        await self._apply(Load(self._side.read_port, requests, self._plan.connections), 200)

    async def _order(self, chance: Random, count: int) -> None:
        over = await self._progress.over()
        requests = self._side.orders(count, chance)
        await self._apply(Load(self._side.order_port, requests, self._plan.connections), 201)
        await self._progress.wait_until_over(over + count)

    async def _read_latency(self, chance: Random) -> Figures:
        rate = self._plan.read_rate
        requests = self._side.reads(round(rate * self._plan.latency_s), chance)
        load = Load(self._side.read_port, requests, 2 * self._plan.connections, rate)
        return latencies("read", [answer.latency_s for answer in await self._apply(load, 200)])

    async def _order_latency(self, name: str, chance: Random, rate: float, duration_s: float) -> Figures:
        over = await self._progress.over()
        requests = self._side.orders(round(rate * duration_s), chance)
        load = Load(self._side.order_port, requests, 2 * self._plan.connections, rate)
        answers = await self._apply(load, 201)
        await self._progress.wait_until_over(over + len(answers))
        due_at = {UUID(json.loads(answer.body)[self._side.order_id]): answer.due_at for answer in answers}
        confirmed_at = await self._progress.changed_at(list(due_at))
        confirming_s = [confirmed_at[order] - due for order, due in due_at.items()]
        placing_s = [answer.latency_s for answer in answers]
        return latencies(f"{name} placed", placing_s) | latencies(f"{name} confirmed", confirming_s)

    async def _apply(self, load: Load, expected: int) -> list[Answer]:
        answers = await apply_apart(load)
        statuses = Counter(answer.status for answer in answers)
        if statuses.keys() != {expected}:
            failed = next(answer for answer in answers if answer.status != expected)
            raise SystemExit(f"{self._side.name} answered {dict(statuses)}, for example: {failed.body[:500]}")
        return answers


def latencies(name: str, seconds: Sequence[float]) -> Figures:
    """Returns the percentiles of latencies, in milliseconds."""
    return {f"{name} p{percent}": percentile(seconds, percent / 100) * 1000 for percent in (50, 99)}


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. `more_is_better` decides which way the ratio is taken, so that above 1 ours is better."""

    label: str
    figure: str
    decimals: int = 1
    more_is_better: bool = False

    def cells(self, rounds: Mapping[str, Sequence[Figures]]) -> tuple[str, ...]:
        """Returns the cells: the label, both sides, how much better ours is, and how much chance there is."""
        values = {label: [figures[self.figure] for figures in rounds[label]] for label in LABELS}
        better = (values["ours"], values["twin"]) if self.more_is_better else (values["twin"], values["ours"])
        return (
            self.label,
            Spread.of(values["ours"]).text(self.decimals),
            Spread.of(values["twin"]).text(self.decimals),
            Spread.of_ratios(*better).text(2),
            Spread.of_ratios(values["twin again"], values["twin"]).text(2),
        )


HEADINGS: Final = ("", "ours", "twin", "ours is better by", "twin again / twin")
ROWS: Final = (
    Row("read: per second of CPU time of the services", "read per core", 0, more_is_better=True),
    Row("      and of PostgreSQL and the broker", "read per core of all", 0, more_is_better=True),
    Row("      per second, at saturation", "reads a second", 0, more_is_better=True),
    Row("      p50, ms", "read p50"),
    Row("      p99, ms", "read p99"),
    Row("order: per second of CPU time of the services", "order per core", 1, more_is_better=True),
    Row("      and of PostgreSQL and the broker", "order per core of all", 1, more_is_better=True),
    Row("      per second, at saturation", "orders a second", 1, more_is_better=True),
    Row("      placed p50, ms", "order placed p50"),
    Row("      placed p99, ms", "order placed p99"),
    Row("      confirmed p50, ms", "order confirmed p50"),
    Row("      confirmed p99, ms", "order confirmed p99"),
)
IDLE_ROWS: Final = (
    Row("one order at a time: confirmed p50, ms", "idle order confirmed p50"),
    Row("      confirmed p99, ms", "idle order confirmed p99"),
)


def table(rows: Sequence[Row], rounds: Mapping[str, Sequence[Figures]]) -> list[str]:
    """Returns the lines of a table."""
    cells = [HEADINGS, *(row.cells(rounds) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def parts(flow: str, rounds: Mapping[str, Sequence[Figures]]) -> list[str]:
    """Returns a line for each side, with the CPU time of each part for one call of a flow."""
    prefix = f"{flow} CPU "
    lines = []
    for label in LABELS[:2]:
        medians = {
            name.removeprefix(prefix).removeprefix("of "): Spread.of([each[name] for each in rounds[label]]).median
            for name in rounds[label][0]
            if name.startswith((f"{prefix}of ", f"{prefix}postgres", f"{prefix}broker"))
        }
        lines.append(f"{label}: " + ", ".join(f"{name} {ms:.2f}" for name, ms in medians.items()))
    return lines


async def main(plan: Plan, output: Path) -> None:
    """Runs both sides, and prints the figures."""
    described = machine.describe(PACKAGES)
    print(*machine.lines(described), sep="\n")
    settings = ", ".join(f"{name} {value}" for name, value in asdict(plan).items())
    print(f"{settings}; our UPSTREAM_TRANSPORT {os.environ.get('UPSTREAM_TRANSPORT', 'default')}", flush=True)
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)  # PostgreSQL may run as a user of its own
        async with sides(folder, plan.broker) as (servers, ours_side, twin_side):
            rounds, idle = await measure(plan, servers, ours_side, twin_side)
    described["load_average_after"] = [round(load, 1) for load in os.getloadavg()]
    print(*table(ROWS, rounds), "", *table(IDLE_ROWS, idle), sep="\n")
    for flow in ("read", "order"):
        print(f"\nCPU time of each part for one {flow}, ms", *parts(flow, rounds), sep="\n")
    print(f"\nload {described['load_average_after'][0]} after")
    document = {"machine": described, "plan": asdict(plan), "rounds": rounds, "idle": idle}
    output.write_text(json.dumps(rounded(document), indent=1) + "\n")


def rounded(value: Any) -> Any:
    """Returns a document of JSON whose numbers have three decimals."""
    match value:
        case float():
            return round(value, 3)
        case dict():
            return {key: rounded(each) for key, each in value.items()}
        case list() | tuple():
            return [rounded(each) for each in value]
        case _:
            return value


@asynccontextmanager
async def sides(folder: Path, broker: str) -> AsyncIterator[tuple[Servers, Side, Side]]:
    """Runs both sides with their servers during the block."""
    os.environ["PORTS"] = "free"
    async with AsyncExitStack() as stack:
        await record_commit_times(folder / "postgres")
        postgres = await stack.enter_async_context(Postgres(folder / "postgres"))
        rabbitmq = await stack.enter_async_context(
            RabbitMQServer(folder / "rabbitmq", rabbitmq_users(flow_participants()))
        )
        our_broker = broker_of_ours(broker, folder, rabbitmq)
        if isinstance(our_broker, Nats):
            await stack.enter_async_context(our_broker)
        ours_side = await stack.enter_async_context(ours(folder, postgres, our_broker))
        twin_side = await stack.enter_async_context(twin(folder, postgres, rabbitmq))
        yield Servers(postgres.pid, {rabbitmq.pid, our_broker.pid}), ours_side, twin_side


async def record_commit_times(folder: Path) -> None:
    """Creates a PostgreSQL that records the time of each commit from its next start on."""
    async with Postgres(folder) as postgres:
        connection = await asyncpg.connect(postgres.url("postgres", SUPERUSER))
        await connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        await connection.close()


async def measure(
    plan: Plan, servers: Servers, ours_side: Side, twin_side: Side
) -> tuple[dict[str, list[Figures]], dict[str, list[Figures]]]:
    """Measures the sides in turns. Returns the figures of the rounds, and those of rounds on an idle machine."""
    rounds: dict[str, list[Figures]] = {label: [] for label in LABELS}
    idle: dict[str, list[Figures]] = {label: [] for label in LABELS}
    async with Progress.of(ours_side) as our_progress, Progress.of(twin_side) as twin_progress:
        our_meter = Meter(ours_side, servers, our_progress, plan)
        twin_meter = Meter(twin_side, servers, twin_progress, plan)
        meters = dict(zip(LABELS, (our_meter, twin_meter, twin_meter), strict=True))
        for meter in (our_meter, twin_meter):
            await meter.warm_up()
        for number in range(plan.rounds):
            for label, meter in meters.items():
                idle[label].append(await meter.measure_idle(Random(plan.seed + number)))
                rounds[label].append(await meter.measure(Random(plan.seed + number)))
                print(f"round {number + 1} of {plan.rounds}: {label}", flush=True)
    return rounds, idle


def arguments() -> tuple[Plan, Path]:
    """Returns the plan, and the file for the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description="Compare the store and its twin.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reads", type=int, default=3000, help="reads at saturation in a round")
    parser.add_argument("--orders", type=int, default=300, help="orders at saturation in a round")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--read-rate", type=float, default=100, help="reads per second of the open-loop load")
    parser.add_argument("--order-rate", type=float, default=8, help="orders per second of the open-loop load")
    parser.add_argument("--latency-s", type=float, default=10, help="how long each open-loop load takes")
    parser.add_argument("--idle-orders", type=int, default=20, help="orders that are placed one after the other")
    parser.add_argument("--idle-rate", type=float, default=2, help="how many of these orders are placed per second")
    parser.add_argument("--broker", choices=("rabbitmq", "nats"), default=os.environ.get("BROKER") or "rabbitmq")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=RESULTS, help="the file to keep all figures in")
    chosen = vars(parser.parse_args())
    output = chosen.pop("json")
    return Plan(**chosen), output


if __name__ == "__main__":
    asyncio.run(main(*arguments()))
