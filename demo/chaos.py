"""The command that breaks the running shop while shoppers use it, then audits it: python -m demo.chaos.

Processes are killed (SIGKILL) and paused (SIGSTOP, as by a partition of the network) at random: services, the edge, the
broker and PostgreSQL. The same seed makes the same visits and faults; when they meet is up to the machine.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

import psutil

from demo import audit
from demo.client import DemoError
from demo.running_shop import running_url, staff_login
from demo.shoppers import Shoppers
from local.errors import SetupError
from local.home import Home
from local.state import State

SHOPPERS: Final = 16
PAUSE_S: Final = (0.2, 2.0)
BETWEEN_S: Final = (0.1, 0.6)
SETTLE_S: Final = 300.0
READY_S: Final = 120.0


@dataclass(slots=True)
class Outcome:
    """The events of a run, and the findings of the audit."""

    orders: int
    faults: Counter[str]
    repeated: Counter[str]
    lost: Sequence[str]
    failed: Sequence[str]
    findings: Sequence[audit.Finding]

    @property
    def sound(self) -> bool:
        """Returns whether nothing was lost, done twice, or left undone."""
        return not (self.lost or self.failed or any(finding.broken for finding in self.findings))


def main() -> int:
    """Breaks the shop, prints what became of it, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.chaos", description="Break the running shop, and audit it.")
    parser.add_argument("--orders", type=int, default=500, help="the number of orders to place")
    parser.add_argument("--faults", type=int, default=50, help="the number of processes to kill or pause")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what the visits and faults are drawn from")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    try:
        outcome = asyncio.run(
            run(Home.of_environment(), orders=arguments.orders, faults=arguments.faults, seed=arguments.seed)
        )
    except (DemoError, SetupError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{outcome.orders} orders, {outcome.faults.total()} faults: {dict(outcome.faults)}")
    print(f"repeated attempts: {dict(outcome.repeated)}")
    for finding in outcome.findings:
        audit.print_finding(finding)
    for name in outcome.lost:
        print(f"lost: {name}")
    for problem in outcome.failed:
        print(f"failed: {problem}")
    return 0 if outcome.sound else 1


async def run(home: Home, *, orders: int, faults: int, seed: int) -> Outcome:
    """Lets shoppers place orders while faults happen, until both are done; then waits for the shop, and audits it."""
    broken: Counter[str] = Counter()
    async with Shoppers(running_url(home), staff_login(home), seed=seed) as shoppers:
        numbers = iter(range(orders))
        shopping = [asyncio.create_task(_shop(shoppers, numbers)) for _ in range(SHOPPERS)]
        breaking = asyncio.create_task(_break(home, faults, Random(seed), broken))
        failed = [problem for problems in await asyncio.gather(*shopping) for problem in problems]
        await breaking
        await _until_ready(home)
        lost = await shoppers.find_lost()
        figures = shoppers.figures
    findings = await audit.audit_mesh(home, SETTLE_S)
    return Outcome(len(figures.placed), broken, figures.repeated, lost, failed, findings)


async def _shop(shoppers: Shoppers, numbers: Iterator[int]) -> list[str]:
    problems = []
    for number in numbers:  # shared by all shoppers
        try:
            await shoppers.visit(number)
        except DemoError as error:
            problems.append(str(error))
    return problems


async def _break(home: Home, faults: int, chance: Random, broken: Counter[str]) -> None:
    while broken.total() < faults:
        await asyncio.sleep(chance.uniform(*BETWEEN_S))
        victims = sorted((each.name, each.pid) for each in State.read(home.state_file).processes if each.pid)
        name, pid = chance.choice(victims)
        kill, pause_s = chance.random() < 0.5, chance.uniform(*PAUSE_S)
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):  # it has just ended by itself
            if kill:
                os.kill(pid, signal.SIGKILL)
            else:
                await _pause(pid, pause_s)
            broken[f"{'kill' if kill else 'pause'} {name}"] += 1


async def _pause(pid: int, pause_s: float) -> None:
    process = psutil.Process(pid)
    family = [process, *process.children(recursive=True)]
    try:
        for each in family:
            each.suspend()
        await asyncio.sleep(pause_s)
    finally:
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()


async def _until_ready(home: Home) -> None:
    give_up_at = time.monotonic() + READY_S
    while unready := [each.name for each in State.read(home.state_file).processes if not (each.pid and each.ready)]:
        if time.monotonic() > give_up_at:
            raise DemoError(f"Not ready {READY_S:.0f} s after the last fault: {', '.join(unready)}.")
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
