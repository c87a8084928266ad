"""The command that lets shoppers come to the running shop at a steady rate: python -m demo.simulate.

The load is open-loop: shoppers come when they come, however long the shop takes, so that waiting times are not hidden.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

from rich.live import Live
from rich.table import Table

from demo import audit
from demo.arguments import between
from demo.client import DemoError
from demo.finding import Finding, print_finding
from demo.running_shop import running_url, staff_login
from demo.shoppers import Figures, Shoppers
from local.errors import SetupError
from local.home import Home

REFRESH_S: Final = 1.0
OUTSTANDING_MAX: Final = 2_000
WINDOW: Final = 1_000
"""The number of last visits whose waiting times are shown."""


def main() -> int:
    """Simulates, audits the shop at the end, and returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo.simulate", description="Simulate shoppers in the shop.")
    parser.add_argument(
        "--rate", type=between(float, 0.01, 1000), default=5.0, help="the number of new shoppers per second"
    )
    parser.add_argument("--minutes", type=between(float, 0.01, 10_000), default=1.0, help="the duration in minutes")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the seed of the random visits")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    try:
        failed, findings = asyncio.run(
            _run(Home.of_environment(), arguments.rate, arguments.minutes * 60, arguments.seed)
        )
    except (DemoError, SetupError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. To check the state of the shop, run `make audit-store`.", file=sys.stderr)
        return 1
    for finding in findings:
        print_finding(finding)
    for problem in failed:
        print(f"failed: {problem}")
    return 1 if failed or any(finding.broken for finding in findings) else 0


async def _run(home: Home, rate: float, duration_s: float, seed: int) -> tuple[list[str], list[Finding]]:
    visits = round(rate * duration_s)
    async with Shoppers(running_url(home), staff_login(home), seed=seed, visits=visits) as shoppers:
        failed = await _come(shoppers, rate, duration_s)
    return failed, await audit.audit_mesh(home, audit.SETTLE_S)


async def _come(shoppers: Shoppers, rate: float, duration_s: float) -> list[str]:
    """Starts a visit at each moment that the rate gives; returns what failed."""
    failed: list[str] = []
    visits: set[asyncio.Task[None]] = set()
    begun = time.monotonic()
    number = turned_away = 0
    with Live(refresh_per_second=4) as live:
        while (elapsed := time.monotonic() - begun) < duration_s or visits:
            while number < min(elapsed, duration_s) * rate:
                if len(visits) < OUTSTANDING_MAX:
                    visits.add(asyncio.create_task(_visit(shoppers, number, failed)))
                else:
                    turned_away += 1
                number += 1
            for visit in [visit for visit in visits if visit.done()]:
                visits.remove(visit)
                visit.result()  # raises what is not the shop's failure
            live.update(_table(shoppers.figures, elapsed, len(visits)))
            await asyncio.sleep(min(REFRESH_S, 0.5 / rate))
    if turned_away:
        failed.append(f"{turned_away} shoppers found {OUTSTANDING_MAX} others waiting, and left")
    return failed


async def _visit(shoppers: Shoppers, number: int, failed: list[str]) -> None:
    try:
        await shoppers.visit(number)
    except DemoError as error:
        failed.append(str(error))


def _table(figures: Figures, elapsed_s: float, waiting: int) -> Table:
    table = Table(title=f"{elapsed_s:.0f} s")
    for title in ("", "median", "99 of 100", "number"):
        table.add_column(title, justify="left" if not title else "right")
    table.add_row("order placed", *_times(figures.placing_s), str(len(figures.placing_s)))
    table.add_row("order decided", *_times(figures.deciding_s), str(len(figures.deciding_s)))
    for state, count in sorted(figures.states.items()):
        table.add_row(f"  {state}", "", "", str(count))
    table.add_row("orders per minute", "", "", f"{60 * len(figures.placing_s) / max(elapsed_s, 1):.0f}")
    table.add_row("shoppers in the shop", "", "", str(waiting))
    table.add_row("repeated attempts", "", "", str(figures.repeated.total()))
    return table


def _times(seconds: Sequence[float]) -> tuple[str, str]:
    newest = sorted(seconds[-WINDOW:])
    if not newest:
        return "", ""
    median, worst = (newest[int(len(newest) * share)] for share in (0.5, 0.99))
    return f"{1000 * median:.0f} ms", f"{1000 * worst:.0f} ms"


if __name__ == "__main__":
    sys.exit(main())
