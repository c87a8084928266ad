"""The SQL of orders. Every function runs in its caller's transaction."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.money import Money
from mesh.pagination import Page
from mesh.position import Key
from services.orders.domain import (
    CancelReason,
    Limits,
    Order,
    OrderLine,
    PendingStep,
    Shipment,
    ShipmentEvent,
    ShipmentEventKind,
    State,
    Wait,
)

T = TypeVar("T")

# A page with long orders has fewer than requested: a line, or an event of a shipment, takes up to 900 bytes, and a
# message may have 4 MiB.
PAGE_LINES_MAX = 4000

CHANNEL = "orders"
"""The channel of NOTIFY after an order has changed. The payload is its uid."""

_COLUMNS = """
    uid, customer, state, create_time, update_time, version, payment_method, pending_step, step_since, step_retry_time,
    cancel_reason, payment, refunded_hundredths, carrier, tracking_number, ship_time, customer_deleted
"""

# Lines do not change, so it does not matter that a statement that has waited for a lock reads them as they were before.
_LINES = """
    ARRAY(
        SELECT (product, title, quantity, currency, unit_price_hundredths) FROM order_lines
        WHERE order_uid = orders.uid ORDER BY position
    ) AS lines
"""

# The parts of the sort keys of list_orders() (create_time, uid), and list_stuck() (step_since, uid).
KEY_TYPES: tuple[type[Key], ...] = (datetime, UUID)
STUCK_KEY_TYPES: tuple[type[Key], ...] = (datetime, UUID)


async def insert(tx: Connection, order: Order, reason: str) -> None:
    """Inserts a new order, and its first change."""
    assert order.wait is not None, "a new order is pending"
    query = """
        WITH placed AS (
            INSERT INTO orders (
                uid, customer, state, create_time, update_time, version, payment_method, pending_step, step_since
            ) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ), changed AS (
            INSERT INTO order_changes (order_uid, version, change_time, actor, state, pending_step, reason)
            VALUES ($1, $6, $5, $2, $3, $8, $15)
        )
        INSERT INTO order_lines (order_uid, position, product, title, quantity, currency, unit_price_hundredths)
        SELECT $1, number - 1, product, title, quantity, currency, unit_price_hundredths
        FROM unnest($10::text[], $11::text[], $12::integer[], $13::text[], $14::bigint[])
            WITH ORDINALITY AS line (product, title, quantity, currency, unit_price_hundredths, number)
    """
    await tx.execute(
        query,
        order.uid,
        order.customer,
        order.state.value,
        order.create_time,
        order.update_time,
        order.version,
        order.payment_method,
        order.wait.step.value,
        order.wait.since,
        *zip(*map(_values, order.lines), strict=True),
        reason,
    )


def _values(line: OrderLine) -> tuple[object, ...]:
    price = line.unit_price
    return line.product, line.title, line.quantity, price.currency, price.hundredths


async def update(tx: Connection, order: Order, *, actor: str = "", reason: str | None = None) -> None:
    """Writes the fields of an order that can change, but for the events of its shipment, and wakes its streams at the
    commit. The row must be locked in this transaction. With a `reason`, also records a change by `actor` of its state
    or pending step.
    """
    wait, shipment = order.wait, order.shipment
    await tx.execute(
        """
        WITH changed AS (
            INSERT INTO order_changes (order_uid, version, change_time, actor, state, pending_step, reason)
            SELECT $1::uuid, $4::integer, $3::timestamptz, $15, $2, $5::text, $16::text WHERE $16 IS NOT NULL
        )
        UPDATE orders SET
            state = $2, update_time = $3, version = $4, pending_step = $5, step_since = coalesce($6, step_since),
            step_retry_time = $7, cancel_reason = $8, payment = $9, refunded_hundredths = $10, carrier = $11,
            tracking_number = $12, ship_time = $13
        WHERE uid = $1 RETURNING pg_notify($14, uid::text)
        """,
        order.uid,
        order.state.value,
        order.update_time,
        order.version,
        wait and wait.step.value,
        wait and wait.since,
        wait and wait.retry_time,
        order.cancel_reason and order.cancel_reason.value,
        order.payment,
        order.refunded and order.refunded.hundredths,
        shipment and shipment.carrier,
        shipment and shipment.tracking_number,
        shipment and shipment.ship_time,
        CHANNEL,
        actor,
        reason,
    )


async def insert_shipment_event(tx: Connection, order: UUID, position: int, event: ShipmentEvent) -> None:
    """Inserts what a carrier reported. The order's row must be locked."""
    query = """
        INSERT INTO shipment_events (order_uid, position, kind, description, event_time) VALUES ($1, $2, $3, $4, $5)
    """
    await tx.execute(query, order, position, event.kind.value, event.description, event.time)


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> Order | None:
    """Returns an order, None if there is none; with `lock`, locks it until the transaction ends."""
    query = f"SELECT {_COLUMNS}, {_LINES} FROM orders WHERE uid = $1 {'FOR UPDATE' if lock else ''}"
    return await _only(tx, await tx.fetchrow(query, uid))


async def take_overdue(tx: Connection, step: PendingStep, begun_before: datetime) -> Order | None:
    """Locks the order that has waited longest for this step, or for the outcome of its retry, since this time or
    earlier. Returns None if there is none, or others have locked them all.
    """
    query = f"""
        SELECT {_COLUMNS}, {_LINES} FROM orders
        WHERE state = 'pending' AND pending_step = $1 AND coalesce(step_retry_time, step_since) <= $2
        ORDER BY coalesce(step_retry_time, step_since) LIMIT 1 FOR UPDATE SKIP LOCKED
    """
    return await _only(tx, await tx.fetchrow(query, step.value, begun_before))


async def list_orders(tx: Connection, customer: str | None, page: Page) -> tuple[list[Order], str]:
    """Returns a page of the orders of one customer, or of all if None, the newest first, and the next page's token."""
    conditions = ["true"]
    arguments: list[object] = [page.limit]
    if customer is not None:
        conditions.append("customer = $2")
        arguments.append(customer)
    if page.after is not None:
        conditions.append(f"(create_time, uid) < (${len(arguments) + 1}, ${len(arguments) + 2})")
        arguments.extend(page.after)
    query = f"""
        SELECT {_COLUMNS}, {_LINE_COUNT}
        FROM orders WHERE {" AND ".join(conditions)} ORDER BY create_time DESC, uid DESC LIMIT $1
    """
    return await _split(tx, page, await tx.fetch(query, *arguments), lambda row: (row["create_time"], row["uid"]))


async def list_stuck(tx: Connection, limits: Limits, now: datetime, page: Page) -> tuple[list[Order], str]:
    """Returns a page of the pending orders that have waited for their step for longer than its limit, those that have
    waited longest first, and the next page's token.
    """
    after = "AND (step_since, uid) > ($6, $7)" if page.after else ""
    query = f"""
        SELECT {_COLUMNS}, {_LINE_COUNT} FROM orders
        WHERE state = 'pending' AND step_since <= $2::timestamptz - least($3::interval, $4::interval, $5::interval)
        AND step_since <= $2 - CASE pending_step WHEN 'stock' THEN $3 WHEN 'payment' THEN $4 ELSE $5 END {after}
        ORDER BY step_since, uid LIMIT $1
    """
    limit_of_each = (limits.stock, limits.payment, limits.payment_review)
    rows = await tx.fetch(query, page.limit, now, *limit_of_each, *(page.after or ()))
    return await _split(tx, page, rows, lambda row: (row["step_since"], row["uid"]))


_LINE_COUNT = """
    (SELECT count(*) FROM order_lines WHERE order_uid = orders.uid)
    + (SELECT count(*) FROM shipment_events WHERE order_uid = orders.uid) AS line_count
"""


async def _split(
    tx: Connection, page: Page, rows: "Sequence[asyncpg.Record]", key: "Callable[[asyncpg.Record], Sequence[Key]]"
) -> tuple[list[Order], str]:
    fitting = replace(page, size=min(page.size, _fitting(rows)))
    given, next_page_token = fitting.split(rows, key)
    return await _orders(tx, given), next_page_token


def _fitting(rows: "Sequence[asyncpg.Record]") -> int:
    """Returns the number of first rows that have at most PAGE_LINES_MAX lines together. It is at least one, because an
    order has at most 100 lines, and its shipment 100 events.
    """
    so_far = accumulate(row["line_count"] for row in rows)
    return sum(1 for lines in so_far if lines <= PAGE_LINES_MAX)


async def _only(tx: Connection, row: "asyncpg.Record | None") -> Order | None:
    """Returns the order in a row with its lines, if there is one."""
    if row is None:
        return None
    events = await _shipment_events(tx, [row])
    return _order(row, tuple(_line(line) for line in row["lines"]), tuple(events[row["uid"]]))


async def _orders(tx: Connection, rows: "Sequence[asyncpg.Record]") -> list[Order]:
    """Returns the orders in rows without their lines."""
    query = """
        SELECT order_uid, (product, title, quantity, currency, unit_price_hundredths) AS line
        FROM order_lines WHERE order_uid = ANY($1) ORDER BY order_uid, position
    """
    lines = _by_order(await tx.fetch(query, [row["uid"] for row in rows]), lambda row: _line(row["line"]))
    events = await _shipment_events(tx, rows)
    return [_order(row, tuple(lines[row["uid"]]), tuple(events[row["uid"]])) for row in rows]


async def _shipment_events(tx: Connection, rows: "Sequence[asyncpg.Record]") -> dict[UUID, list[ShipmentEvent]]:
    query = """
        SELECT order_uid, kind, description, event_time
        FROM shipment_events WHERE order_uid = ANY($1) ORDER BY order_uid, position
    """
    shipped = [row["uid"] for row in rows if row["ship_time"] is not None]
    return _by_order(await tx.fetch(query, shipped) if shipped else [], _shipment_event)


def _by_order(rows: "Iterable[asyncpg.Record]", of: "Callable[[asyncpg.Record], T]") -> dict[UUID, list[T]]:
    found: dict[UUID, list[T]] = defaultdict(list)
    for row in rows:
        found[row["order_uid"]].append(of(row))
    return found


def _line(values: Sequence[Any]) -> OrderLine:
    product, title, quantity, currency, hundredths = values
    return OrderLine(product, title, quantity, Money(currency, hundredths))


def _shipment_event(row: "asyncpg.Record") -> ShipmentEvent:
    return ShipmentEvent(ShipmentEventKind(row["kind"]), row["description"], row["event_time"])


def _order(row: "asyncpg.Record", lines: tuple[OrderLine, ...], events: tuple[ShipmentEvent, ...]) -> Order:
    state, refunded = State(row["state"]), row["refunded_hundredths"]
    shipped = row["ship_time"] is not None
    return Order(
        row["uid"],
        row["customer"],
        lines,
        state,
        row["create_time"],
        row["update_time"],
        row["version"],
        payment_method=row["payment_method"],
        wait=_wait(row) if state is State.PENDING else None,
        cancel_reason=CancelReason(row["cancel_reason"]) if row["cancel_reason"] else None,
        payment=row["payment"],
        refunded=Money(lines[0].unit_price.currency, refunded) if refunded else None,
        shipment=Shipment(row["carrier"], row["tracking_number"], row["ship_time"], events) if shipped else None,
        customer_deleted=row["customer_deleted"],
    )


def _wait(row: "asyncpg.Record") -> Wait:
    return Wait(PendingStep(row["pending_step"]), row["step_since"], row["step_retry_time"])
