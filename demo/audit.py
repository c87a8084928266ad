"""The command that checks the store's invariants in the databases of the running mesh: python -m demo.audit.

It reads what each service has committed, and trusts no service's own word. It waits until the store has settled,
because between the databases of several services nothing is simultaneous.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
from meshwright.orders.v1.orders_pb import Order
from meshwright.support.v1.events_pb import MessagePosted

from local.declarations.checkout import read_services
from local.errors import SetupError
from local.home import Home
from local.postgres import Postgres
from local.running import port_of

SETTLE_S: Final = 60.0
PAUSE_S: Final = 0.5
STEP_LIMIT: Final = "10 minutes"
"""The time after which an order must have left a step: more than the limits of the sweeper of orders."""

UNDECIDED: Final = "state = 'pending' AND pending_step IS DISTINCT FROM 'payment_review'"
"""The condition of orders that have to get on by themselves; others wait for the staff."""

SHOWN_MAX: Final = 5

Databases: TypeAlias = "Mapping[str, asyncpg.Connection[asyncpg.Record]]"


@dataclass(slots=True)
class Finding:
    """An invariant, the figures that it is about, and what breaks it."""

    invariant: str
    figures: dict[str, object] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


Check = Callable[[Databases], Awaitable[Finding]]


def main() -> int:
    """Prints each invariant with its figures. Returns the exit status, which is 1 if one is broken."""
    parser = argparse.ArgumentParser(prog="python -m demo.audit", description="Check the store's invariants.")
    parser.add_argument(
        "--settle", type=float, default=SETTLE_S, help="the time to wait until the store has settled, in seconds"
    )
    arguments = parser.parse_args()
    try:
        findings = asyncio.run(audit_mesh(Home.of_environment(), arguments.settle))
    except SetupError as error:
        print(error, file=sys.stderr)
        return 1
    for finding in findings:
        print_finding(finding)
    broken = sum(1 for finding in findings if finding.broken)
    print(f"{broken} of {len(findings)} invariants are broken." if broken else f"All {len(findings)} invariants hold.")
    return 1 if broken else 0


def print_finding(finding: Finding) -> None:
    """Prints an invariant with its figures, and the first things that break it."""
    print(f"{'BROKEN' if finding.broken else 'holds ':6}  {finding.invariant}")
    print("        " + ", ".join(f"{name} {value}" for name, value in finding.figures.items()))
    for problem in finding.broken[:SHOWN_MAX]:
        print(f"        - {problem}")
    if len(finding.broken) > SHOWN_MAX:
        print(f"        - and {len(finding.broken) - SHOWN_MAX} more")


async def audit_mesh(home: Home, settle_s: float) -> list[Finding]:
    """Audits the mesh that runs here. Raises SetupError if none does."""
    server = Postgres(home.data(Postgres.name), port_of(home, Postgres.name))
    names = [service.name for service in read_services(Path()) if service.declaration.database]
    async with opened({name: server.url(name) for name in names}) as databases:
        return await audit(databases, settle_s)


@asynccontextmanager
async def opened(urls: Mapping[str, str]) -> AsyncIterator[Databases]:
    """Connects to the databases of services, by their names."""
    async with AsyncExitStack() as stack:
        connections = {}
        for name, url in urls.items():
            connections[name] = await asyncpg.connect(url)
            stack.push_async_callback(connections[name].close)
        yield connections


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
            waiting["events to publish"] += await _count(database, "mesh.outbox WHERE published_at IS NULL")
            waiting["events to handle"] += await _count(database, "mesh.inbox WHERE state = 'pending'")
            if name == "orders":
                waiting["pending orders"] += await _count(database, f"orders WHERE {UNDECIDED}")
            if name == "payments":
                waiting["payments to ask for"] += await _count(database, "payments WHERE due_time IS NOT NULL")
            if name == "recommendations":
                waiting["baskets to learn from"] += await _count(database, "baskets WHERE state <> 'counted'")
                waiting["products to train"] += await _count(database, "stale_products")
        if not +waiting or time.monotonic() > give_up_at:
            broken = [f"{count} {what}" for what, count in waiting.items() if count]
            return Finding("The store settles: nothing waits for ever.", dict(waiting), broken)
        await asyncio.sleep(PAUSE_S)


async def _count(database: "asyncpg.Connection[asyncpg.Record]", what: str) -> int:
    count: int = await database.fetchval(f"SELECT count(*) FROM {what}")
    return count


async def check_money(databases: Databases) -> Finding:
    """Compares what payments and the provider have taken with what orders sold."""
    finding = Finding("Money captured - refunded = the orders that are confirmed or shipped.")
    sold = await _sums(
        databases["orders"],
        """
        SELECT currency, sum(sum) FROM (
            SELECT min(currency) AS currency,
                sum(quantity * unit_price_hundredths) - coalesce(min(refunded_hundredths), 0) AS sum
            FROM orders JOIN order_lines ON order_uid = uid WHERE state IN ('confirmed', 'shipped') GROUP BY uid
        ) AS totals GROUP BY currency
        """,
    )
    taken = await _sums(
        databases["payments"],
        "SELECT currency, sum(captured_hundredths - refunded_hundredths) FROM payments GROUP BY currency",
    )
    at_provider = await _sums(
        databases["payments"],
        """
        SELECT currency, sum(amount_hundredths - refunded_hundredths) FROM sandbox_charges WHERE state = 'captured'
        GROUP BY currency
        """,
    )
    for currency in sorted({*sold, *taken, *at_provider}):
        amounts = [sums[currency] for sums in (sold, taken, at_provider)]
        finding.figures[currency] = " = ".join(f"{amount / 100:.2f}" for amount in amounts)
        if len(set(amounts)) > 1:
            words = ("orders", "payments", "the provider")
            parts = (f"{word} {amount / 100:.2f}" for word, amount in zip(words, amounts, strict=True))
            finding.broken.append(f"{currency}: {', '.join(parts)}")
    return finding


async def check_ledger(databases: Databases) -> Finding:
    """Adds up the ledger, as a whole, by posting, and by payment."""
    finding = Finding("The ledger balances to zero, and says what the payments say.")
    payments = databases["payments"]
    finding.figures["entries"] = await _count(payments, "ledger_entries")
    for row in await payments.fetch(
        "SELECT posting, sum(hundredths) FROM ledger_entries GROUP BY posting HAVING sum(hundredths) <> 0"
    ):
        finding.broken.append(f"posting {row['posting']} adds up to {row['sum']}")
    for row in await payments.fetch(
        """
        SELECT uid, captured_hundredths AS captured, refunded_hundredths AS refunded,
            coalesce(sum(-hundredths) FILTER (WHERE account = 'sales'), 0) AS sales,
            coalesce(sum(hundredths) FILTER (WHERE account = 'refunds'), 0) AS refunds
        FROM payments LEFT JOIN ledger_entries ON payment_uid = uid GROUP BY uid
        """
    ):
        if (row["captured"], row["refunded"]) != (row["sales"], row["refunds"]):
            finding.broken.append(f"payments/{row['uid']}: {dict(row)}")
    return finding


async def check_stock(databases: Databases) -> Finding:
    """Recomputes the stock of each product from its adjustments and reservations."""
    finding = Finding("Stock on hand = adjustments - committed, reserved = what is reserved, and nothing is oversold.")
    rows = await databases["inventory"].fetch(
        """
        WITH units AS (
            SELECT product, sum(quantity) FILTER (WHERE state = 'committed') AS committed,
                sum(quantity) FILTER (WHERE state = 'reserved') AS reserved
            FROM reserved_units JOIN reservations USING (order_name) GROUP BY product
        ), added AS (SELECT product, sum(delta) AS units FROM adjustments GROUP BY product)
        SELECT product, on_hand, stock.reserved, coalesce(added.units, 0)::bigint AS adjusted,
            coalesce(units.committed, 0)::bigint AS committed, coalesce(units.reserved, 0)::bigint AS expected_reserved
        FROM stock LEFT JOIN added USING (product) LEFT JOIN units USING (product)
        """
    )
    finding.figures["products"] = len(rows)
    for name in ("on_hand", "adjusted", "committed", "reserved"):
        finding.figures[name.replace("_", " ")] = sum(row[name] for row in rows)
    for row in rows:
        right = row["on_hand"] == row["adjusted"] - row["committed"] and row["reserved"] == row["expected_reserved"]
        if not (right and 0 <= row["reserved"] <= row["on_hand"]):
            finding.broken.append(str(dict(row)))
    return finding


async def check_orders(databases: Databases) -> Finding:
    """Compares each order with its reservation and its payment."""
    finding = Finding("Each order has the reservation and the payment that its state requires.")
    reserved = await _states(databases["inventory"], "SELECT order_name, state FROM reservations")
    paid = await _states(
        databases["payments"],
        """
        SELECT order_name, CASE WHEN captured_hundredths > refunded_hundredths THEN 'paid'
            WHEN state = 'captured' AND amount_hundredths > 0 THEN 'paid back' ELSE state END FROM payments
        """,
    )
    states = Counter[str]()
    for row in await databases["orders"].fetch("SELECT 'orders/' || uid AS name, state FROM orders"):
        name, state = row["name"], row["state"]
        states[state] += 1
        stock, payment = reserved.get(name, "none"), paid.get(name, "none")
        if state in {"confirmed", "shipped"}:
            right = stock == "committed" and payment in {"paid", "paid back", "captured"}
        elif state == "cancelled":
            right = stock not in {"reserved", "committed"} and payment not in {"paid", "pending", "authorized"}
        else:
            right = stock != "committed"
        if not right:
            finding.broken.append(f"{name} is {state}, its reservation {stock}, its payment {payment}")
    finding.figures |= states
    return finding


async def check_requests(databases: Databases) -> Finding:
    """Compares the answers that were given to customers with the orders that there are."""
    finding = Finding("Each acknowledged request has one order, and no order has two requests.")
    rows = await databases["orders"].fetch(
        "SELECT request_id, response FROM mesh.answers WHERE method LIKE '%/CreateOrder' AND response <> ''"
    )
    orders = {row["name"] for row in await databases["orders"].fetch("SELECT 'orders/' || uid AS name FROM orders")}
    requests = Counter(Order.from_binary(row["response"]).name for row in rows)
    finding.figures |= {"requests": len(rows), "orders": len(orders)}
    finding.broken += [f"{name} was acknowledged, and does not exist" for name in requests if name not in orders]
    finding.broken += [f"{name} is the answer to {count} requests" for name, count in requests.items() if count > 1]
    return finding


async def check_events(databases: Databases) -> Finding:
    """Looks for each published event in the inboxes of its consumers."""
    finding = Finding("Each event was applied once by each of its consumers, and none is a dead letter.")
    consumers: dict[str, set[str]] = defaultdict(set)
    for service in read_services(Path()):
        for event in service.consumes:
            consumers[event].add(service.name)
    done: dict[str, set[str]] = {}
    for name, database in databases.items():
        done[name] = {
            str(row["event_id"]) for row in await database.fetch("SELECT event_id FROM mesh.inbox WHERE state = 'done'")
        }
        for row in await database.fetch("SELECT type, aggregate, last_error FROM mesh.inbox WHERE state = 'dead'"):
            finding.broken.append(f"{name} has dead letter {row['type']} of {row['aggregate']}: {row['last_error']}")
    published = applied = 0
    for name, database in databases.items():
        query = "SELECT event_id, type, aggregate FROM mesh.outbox WHERE published_at IS NOT NULL"
        for row in await database.fetch(query):
            published += 1
            for consumer in consumers[row["type"]]:
                applied += 1
                if str(row["event_id"]) not in done[consumer]:
                    finding.broken.append(f"{row['type']} of {row['aggregate']} by {name} is not done at {consumer}")
    finding.figures |= {"published": published, "applied": applied}
    return finding


async def check_limits(databases: Databases) -> Finding:
    """Looks for orders that have waited for too long."""
    finding = Finding("No order is pending for longer than its limit.")
    rows = await databases["orders"].fetch(
        f"""
        SELECT uid, pending_step, step_since FROM orders
        WHERE {UNDECIDED} AND step_since < now() - interval '{STEP_LIMIT}'
        """
    )
    finding.figures["pending"] = await _count(databases["orders"], "orders WHERE state = 'pending'")
    finding.broken = [f"orders/{row['uid']} waits for {row['pending_step']} since {row['step_since']}" for row in rows]
    return finding


async def check_recommendations(databases: Databases) -> Finding:
    """Compares what recommendations has learned from with the orders, and recounts it."""
    finding = Finding("Recommendations are learned from each order that is confirmed or shipped, once.")
    database = databases["recommendations"]
    sold = await databases["orders"].fetch(
        "SELECT uid FROM orders WHERE state IN ('confirmed', 'shipped') AND create_time > now() - interval '364 days'"
    )
    baskets = await database.fetch("SELECT order_uid AS uid, products FROM baskets WHERE state = 'counted'")
    recent = await database.fetch(
        "SELECT order_uid AS uid FROM baskets WHERE bought_time > now() - interval '364 days'"
    )
    differing = {row["uid"] for row in sold} ^ {row["uid"] for row in recent}
    finding.broken += [f"orders/{uid} is sold or a basket, not both" for uid in sorted(differing)]
    products = Counter(product for row in baskets for product in row["products"])
    pairs = Counter(pair for row in baskets for pair in permutations(row["products"], 2))
    counts = await database.fetch("SELECT product, baskets FROM product_counts")
    pair_counts = await database.fetch("SELECT product, other, baskets FROM pair_counts")
    if {row["product"]: row["baskets"] for row in counts} != products:
        finding.broken.append(f"the counts of products are not those of {len(baskets)} baskets")
    if {(row["product"], row["other"]): row["baskets"] for row in pair_counts} != pairs:
        finding.broken.append(f"the counts of pairs are not those of {len(baskets)} baskets")
    version = await database.fetchval("SELECT coalesce(max(version), 0) FROM models")
    finding.figures |= {"orders": len(sold), "baskets": len(baskets), "pairs": len(pairs), "version": version}
    return finding


async def check_chats(databases: Databases) -> Finding:
    """Compares the messages of each conversation with their numbers, their times and their events."""
    finding = Finding("The messages of each conversation are complete, in order, and none is doubled.")
    support = databases["support"]
    rows = await support.fetch(
        """
        SELECT uid, message_count, count(number) AS messages, coalesce(max(number), 0) AS last,
            bool_or(message_time < before) AS is_disordered
        FROM conversations LEFT JOIN (
            SELECT conversation_uid, number, create_time AS message_time,
                lag(create_time) OVER (PARTITION BY conversation_uid ORDER BY number) AS before
            FROM messages
        ) AS numbered ON conversation_uid = uid
        GROUP BY uid, message_count
        """
    )
    for row in rows:
        if not row["message_count"] == row["messages"] == row["last"]:
            figures = f"{row['messages']} messages, numbers up to {row['last']}, and counts {row['message_count']}"
            finding.broken.append(f"conversations/{row['uid']} has {figures}")
        if row["is_disordered"]:
            finding.broken.append(f"conversations/{row['uid']} has a message that is older than the one before")
    doubled = await support.fetch(
        """
        SELECT conversation_uid, request_id FROM messages WHERE request_id IS NOT NULL
        GROUP BY conversation_uid, sender, request_id HAVING count(*) > 1
        """
    )
    finding.broken += [f"conversations/{uid} has two messages of the request {request}" for uid, request in doubled]
    posted = MessagePosted.desc().type_name
    events = await support.fetch("SELECT payload FROM mesh.outbox WHERE type = $1", posted)
    announced = Counter(MessagePosted.from_binary(row["payload"]).message for row in events)
    finding.broken += [f"{name} was announced {count} times" for name, count in announced.items() if count > 1]
    finding.figures |= {"conversations": len(rows), "messages": sum(row["messages"] for row in rows)}
    return finding


CHECKS: Final[Sequence[Check]] = (
    check_money,
    check_ledger,
    check_stock,
    check_orders,
    check_requests,
    check_events,
    check_limits,
    check_recommendations,
    check_chats,
)


async def _sums(database: "asyncpg.Connection[asyncpg.Record]", query: str) -> Counter[str]:
    return Counter({row[0]: int(row[1]) for row in await database.fetch(query)})


async def _states(database: "asyncpg.Connection[asyncpg.Record]", query: str) -> dict[str, str]:
    return {row[0]: row[1] for row in await database.fetch(query)}


if __name__ == "__main__":
    sys.exit(main())
