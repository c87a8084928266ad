"""The command that checks the store's invariants in the databases of the running mesh: python -m demo.audit.

It reads what each service has committed, and trusts no service's own word. It waits until the store has settled,
because between the databases of several services nothing is simultaneous.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

import asyncpg

from demo.arguments import between
from demo.databases import Databases, count, opened
from demo.finding import Finding, print_finding
from demo.invariants import CHECKS
from demo.invariants.orders import UNDECIDED
from local.declarations.checkout import read_services
from local.errors import SetupError
from local.home import Home
from local.postgres import Postgres
from local.running import port_of

SETTLE_S: Final = 60.0
PAUSE_S: Final = 0.5


def main() -> int:
    """Prints each invariant with its figures. Returns the exit status, which is 1 if one is broken."""
    parser = argparse.ArgumentParser(prog="python -m demo.audit", description="Check the store's invariants.")
    parser.add_argument(
        "--settle",
        type=between(float, 0, 3600),
        default=SETTLE_S,
        help="the time to wait until the store has settled, in seconds",
    )
    arguments = parser.parse_args()
    try:
        findings = asyncio.run(audit_mesh(Home.of_environment(), arguments.settle))
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 1
    for finding in findings:
        print_finding(finding)
    broken = sum(1 for finding in findings if finding.broken)
    print(f"{broken} of {len(findings)} invariants are broken." if broken else f"All {len(findings)} invariants hold.")
    return 1 if broken else 0


async def audit_mesh(home: Home, settle_s: float) -> list[Finding]:
    """Audits the mesh that runs here. Raises SetupError if none does, or if its databases can't be read."""
    server = Postgres(home.data(Postgres.name), port_of(home, Postgres.name))
    names = [service.name for service in read_services(Path()) if service.declaration.database]
    try:
        async with opened({name: server.url(name) for name in names}) as databases:
            return await audit(databases, settle_s)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise SetupError(f"The databases can't be read, so nothing was found out: {error}") from error


async def audit(databases: Databases, settle_s: float) -> list[Finding]:
    """Waits until the store has settled, then checks every invariant. Checks them again while one is broken, for up to
    `settle_s` in all: no database shows the events that a broker has not delivered yet.
    """
    give_up_at = time.monotonic() + settle_s
    while True:
        waiting = await _settle(databases, give_up_at)
        findings = [await check(databases) for check in CHECKS] + [waiting]
        if not any(finding.broken for finding in findings) or time.monotonic() > give_up_at:
            return findings
        await asyncio.sleep(PAUSE_S)


async def _settle(databases: Databases, give_up_at: float) -> Finding:
    """Waits until nothing is left to do in any database, or until a time of the monotonic clock."""
    while True:
        waiting = Counter[str]()
        for name, database in databases.items():
            waiting["events to publish"] += await count(database, "mesh.outbox WHERE published_at IS NULL")
            waiting["events to handle"] += await count(database, "mesh.inbox WHERE state = 'pending'")
            if name == "orders":
                waiting["pending orders"] += await count(database, f"orders WHERE {UNDECIDED}")
            if name == "payments":
                waiting["payments to ask for"] += await count(database, "payments WHERE due_time IS NOT NULL")
            if name == "recommendations":
                waiting["baskets to learn from"] += await count(database, "baskets WHERE state <> 'counted'")
                waiting["products to train"] += await count(database, "stale_products")
        if not +waiting or time.monotonic() > give_up_at:
            broken = [f"{number} {what}" for what, number in waiting.items() if number]
            return Finding("The store settles: nothing waits for ever.", dict(waiting), broken)
        await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    sys.exit(main())
