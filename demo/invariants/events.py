"""Events: published, and applied by each consumer."""

from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
from meshwright.orders.v1.events_pb import OrderCancelled, OrderConfirmed, OrderPlaced, OrderShipped

from demo.databases import Databases
from demo.finding import Finding
from local.declarations.checkout import read_services

KEPT_FOR: Final = "6 days"
"""The age of changes whose events are still in the outbox of orders, which keeps them for a week."""

_ANNOUNCED_BY: Final = {
    "pending": OrderPlaced,
    "confirmed": OrderConfirmed,
    "cancelled": OrderCancelled,
    "shipped": OrderShipped,
}


async def check_events(databases: Databases) -> Finding:
    """Looks for each published event in the inboxes of the consumers that had subscribed to its type."""
    finding = Finding(
        "Each event was applied once by each of its consumers, none is dead, and no change of an order lacks one."
    )
    consumers = await _consumers(databases, finding)
    done: dict[str, set[str]] = {}
    for name, database in databases.items():
        done[name] = {
            str(row["event_id"]) for row in await database.fetch("SELECT event_id FROM mesh.inbox WHERE state = 'done'")
        }
        for row in await database.fetch("SELECT type, aggregate, last_error FROM mesh.inbox WHERE state = 'dead'"):
            finding.broken.append(f"{name} has dead letter {row['type']} of {row['aggregate']}: {row['last_error']}")
    published = applied = 0
    for name, database in databases.items():
        query = "SELECT event_id, type, aggregate, time FROM mesh.outbox WHERE published_at IS NOT NULL"
        for row in await database.fetch(query):
            published += 1
            for consumer, since in consumers[row["type"]].items():
                if row["time"] < since:
                    continue
                applied += 1
                if str(row["event_id"]) not in done[consumer]:
                    finding.broken.append(f"{row['type']} of {row['aggregate']} by {name} is not done at {consumer}")
    finding.broken += await _unannounced(databases["orders"])
    finding.figures |= {"published": published, "applied": applied}
    return finding


async def _consumers(databases: Databases, finding: Finding) -> dict[str, dict[str, datetime]]:
    """Returns the consumers of each type of event, with the time since when each receives it. Reports those that should
    receive a type and do not.
    """
    consumers: dict[str, dict[str, datetime]] = defaultdict(dict)
    for service in read_services(Path()):
        if not service.consumes:
            continue
        rows = await databases[service.name].fetch("SELECT type, since FROM mesh.subscriptions")
        subscribed = {row["type"]: row["since"] for row in rows}
        for event in service.consumes:
            if event in subscribed:
                consumers[event][service.name] = subscribed[event]
            else:
                finding.broken.append(f"{service.name} has never subscribed to {event}")
    return consumers


async def _unannounced(orders: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    """Returns the orders with a state whose event is missing. Nothing else would show that a consumer never had it."""
    changes = await orders.fetch(
        f"""
        SELECT 'orders/' || order_uid, state FROM order_changes GROUP BY order_uid, state
        HAVING min(change_time) > now() - interval '{KEPT_FOR}'
        """
    )
    events = await orders.fetch("SELECT aggregate, type FROM mesh.outbox")
    published = {(aggregate, kind) for aggregate, kind in events}
    return [
        f"{name} is {state} without an event"
        for name, state in changes
        if (name, _ANNOUNCED_BY[state].desc().type_name) not in published
    ]
