"""Orders: the reservations and payments that they need, the requests that placed them, and their limits."""

from collections import Counter, defaultdict
from typing import Final

import asyncpg
from meshwright.orders.v1.orders_pb import Order

from demo.databases import Databases, count
from demo.finding import Finding

STEP_LIMIT: Final = "10 minutes"
"""The time after which an order must have left a step: more than the limits of the sweeper of orders."""

UNDECIDED: Final = "state = 'pending' AND pending_step IS DISTINCT FROM 'payment_review'"
"""The condition of orders that have to get on by themselves; others wait for the staff."""

_PAYMENTS: Final = """
SELECT order_name, CASE WHEN captured_hundredths > refunded_hundredths THEN 'paid'
    WHEN state = 'captured' AND amount_hundredths > 0 THEN 'paid back' ELSE state END FROM payments
"""
_LINES: Final = """
SELECT 'orders/' || order_uid, product, sum(quantity) FROM order_lines GROUP BY order_uid, product
"""


async def check_orders(databases: Databases) -> Finding:
    """Compares each order with its reservation and its payment, and each of these with its order."""
    finding = Finding("Each order has the reservation and the payment that its state requires.")
    inventory = databases["inventory"]
    reserved = await _states(inventory, "SELECT order_name, state FROM reservations")
    units = await _units(inventory, "SELECT order_name, product, quantity FROM reserved_units")
    paid = await _states(databases["payments"], _PAYMENTS)
    states = await _states(databases["orders"], "SELECT 'orders/' || uid, state FROM orders")
    lines = await _units(databases["orders"], _LINES)
    for name in sorted({*states, *reserved, *paid}):
        state, stock, payment = states.get(name, "missing"), reserved.get(name, "none"), paid.get(name, "none")
        if not _agree(state, stock, payment):
            finding.broken.append(f"{name} is {state}, its reservation {stock}, its payment {payment}")
        elif stock in {"reserved", "committed"} and lines[name] != units[name]:
            finding.broken.append(f"{name} has {lines[name]}, its reservation {units[name]}")
    finding.figures |= Counter(states.values())
    return finding


def _agree(state: str, stock: str, payment: str) -> bool:
    """Returns whether an order in this state may have this reservation and this payment."""
    match state:
        case "confirmed" | "shipped":
            return stock == "committed" and payment in {"paid", "paid back", "captured"}
        case "pending":
            return stock != "committed"
    return stock not in {"reserved", "committed"} and payment not in {"paid", "pending", "authorized"}


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


async def check_limits(databases: Databases) -> Finding:
    """Looks for orders that have waited for too long."""
    finding = Finding("No order is pending for longer than its limit.")
    rows = await databases["orders"].fetch(
        f"""
        SELECT uid, pending_step, step_since FROM orders
        WHERE {UNDECIDED} AND step_since < now() - interval '{STEP_LIMIT}'
        """
    )
    finding.figures["pending"] = await count(databases["orders"], "orders WHERE state = 'pending'")
    finding.broken = [f"orders/{row['uid']} waits for {row['pending_step']} since {row['step_since']}" for row in rows]
    return finding


async def _states(database: "asyncpg.Connection[asyncpg.Record]", query: str) -> dict[str, str]:
    return {row[0]: row[1] for row in await database.fetch(query)}


async def _units(database: "asyncpg.Connection[asyncpg.Record]", query: str) -> defaultdict[str, dict[str, int]]:
    """Returns the number of units of each product, by order."""
    units: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for order, product, quantity in await database.fetch(query):
        units[order][product] = quantity
    return units
