"""The command that breaks the running shop while shoppers use it, then audits it: python -m demo.chaos.

Processes are killed (SIGKILL) and paused (SIGSTOP, as by a partition of the network) at random: services, the edge, the
broker and PostgreSQL. Services lose their connections to their databases, and shoppers the answers to their orders. The
same seed makes the same visits and faults; when they meet is up to the machine.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from demo import audit
from demo.arguments import between
from demo.client import DemoError
from demo.faults import Faults, processes_of
from demo.finding import Finding, print_finding
from demo.link import Link
from demo.running_shop import staff_login
from demo.shoppers import Shoppers
from local.errors import SetupError
from local.home import Home
from local.running import port_of
from mesh.background import stop

SHOPPERS: Final = 16
BETWEEN_S: Final = (0.1, 0.6)
BETWEEN_S_MAX: Final = 3.0
"""The longest time between faults, however few orders are placed meanwhile."""

SETTLE_S: Final = 300.0
READY_S: Final = 120.0


@dataclass(slots=True)
class Outcome:
    """The events of a run, and the findings of the audit."""

    orders: int
    faults: Counter[str]
    repeated: Counter[str]
    problems: Sequence[str]
    findings: Sequence[Finding]

    @property
    def sound(self) -> bool:
        """Returns whether nothing was lost, done twice, or left undone."""
        return not (self.problems or any(finding.broken for finding in self.findings))


def main() -> int:
    """Breaks the shop, prints what became of it, and returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.chaos", description="Inject faults into the running shop under load, then audit it."
    )
    parser.add_argument("--orders", type=between(int, 1, 1_000_000), default=500, help="the number of orders to place")
    parser.add_argument("--faults", type=between(int, 0, 1_000_000), default=50, help="the number of faults to inject")
    parser.add_argument(
        "--shoppers", type=between(int, 1, 1000), default=SHOPPERS, help="the number of concurrent shoppers"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the seed of the random visits and faults")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    try:
        outcome = asyncio.run(run(Home.of_environment(), **vars(arguments)))
    except (DemoError, SetupError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. To check the state of the shop, run `make audit-store`.", file=sys.stderr)
        return 1
    print_outcome(outcome)
    return 0 if outcome.sound else 1


def print_outcome(outcome: Outcome) -> None:
    """Prints what happened, each invariant, and each problem."""
    faults = ", ".join(f"{fault} {count}" for fault, count in sorted(outcome.faults.items()))
    print(f"{outcome.orders} orders, {outcome.faults.total()} faults: {faults}")
    print(f"repeated attempts: {dict(outcome.repeated)}")
    for finding in outcome.findings:
        print_finding(finding)
    for problem in outcome.problems:
        print(f"failed: {problem}")


async def run(home: Home, *, orders: int, faults: int, seed: int, shoppers: int = SHOPPERS) -> Outcome:
    """Lets shoppers place orders while faults happen, until both are done; then waits for the shop, and audits it."""
    async with (
        Link(port_of(home, "edge")) as link,
        Shoppers(link.url, staff_login(home), seed=seed, visits=orders) as shop,
    ):
        numbers = iter(range(orders))
        shopping = [asyncio.create_task(_shop(shop, numbers)) for _ in range(shoppers)]
        breaking = Faults(home, link, seed)
        try:
            await _break(breaking, faults, shop, orders, Random(seed))
            problems = [problem for problems in await asyncio.gather(*shopping) for problem in problems]
        finally:
            await stop(shopping)
        await _until_ready(home)
        problems += await shop.find_problems()
    findings = await audit.audit_mesh(home, SETTLE_S)
    return Outcome(len(shop.figures.placed), breaking.happened, shop.figures.repeated, problems, findings)


async def _shop(shop: Shoppers, numbers: Iterator[int]) -> list[str]:
    problems = []
    for number in numbers:  # shared by all shoppers
        try:
            await shop.visit(number)
        except DemoError as error:
            problems.append(str(error))
    return problems


async def _break(breaking: Faults, faults: int, shop: Shoppers, orders: int, chance: Random) -> None:
    """Spreads faults over the orders."""
    begun = time.monotonic()
    for number in range(faults):
        await asyncio.sleep(chance.uniform(*BETWEEN_S))
        next_at = time.monotonic() + BETWEEN_S_MAX
        while len(shop.figures.placed) * faults < number * orders and time.monotonic() < next_at:
            await asyncio.sleep(0.05)
        await breaking.cause_one()
        if (number + 1) % 100 == 0:
            minutes = (time.monotonic() - begun) / 60
            print(f"{len(shop.figures.placed)} orders, {number + 1} faults, {minutes:.1f} minutes", flush=True)


async def _until_ready(home: Home) -> None:
    give_up_at = time.monotonic() + READY_S
    while unready := [each.name for each in processes_of(home) if not (each.pid and each.ready)]:
        if time.monotonic() > give_up_at:
            raise DemoError(f"Not ready {READY_S:.0f} s after the last fault: {', '.join(unready)}.")
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    sys.exit(main())
