"""The SQL of orders. Every function runs in its caller's transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import accumulate
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.money import Money
from mesh.pagination import Page
from mesh.position import Key
from services.orders.domain import Order, OrderLine, State

# A page with long orders has fewer than requested: a line takes up to 900 bytes, and a message may have 4 MiB.
PAGE_LINES_MAX = 4000

_COLUMNS = "uid, customer, state, create_time, update_time, version"


# The parts of the sort key of list_orders(): create_time, uid.
KEY_TYPES: tuple[type[Key], ...] = (datetime, UUID)


async def insert(tx: Connection, order: Order) -> None:
    """Inserts a new order."""
    await tx.execute(
        f"INSERT INTO orders ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)",
        order.uid,
        order.customer,
        order.state.value,
        order.create_time,
        order.update_time,
        order.version,
    )
    query = """
        INSERT INTO order_lines (order_uid, position, product, title, quantity, currency, unit_price_hundredths)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
    """
    await tx.executemany(query, [(order.uid, position, *_values(line)) for position, line in enumerate(order.lines)])


def _values(line: OrderLine) -> tuple[object, ...]:
    price = line.unit_price
    return line.product, line.title, line.quantity, price.currency, price.hundredths


async def update(tx: Connection, order: Order) -> None:
    """Writes the fields of an order that can change. The row must be locked by find(…, lock=True) in this
    transaction.
    """
    await tx.execute(
        "UPDATE orders SET state = $2, update_time = $3, version = $4 WHERE uid = $1",
        order.uid,
        order.state.value,
        order.update_time,
        order.version,
    )


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> Order | None:
    """Returns an order, None if there is none; with `lock`, locks it until the transaction ends."""
    query = f"SELECT {_COLUMNS} FROM orders WHERE uid = $1 {'FOR UPDATE' if lock else ''}"
    orders = await _with_lines(tx, await tx.fetch(query, uid))
    return orders[0] if orders else None


async def list_orders(tx: Connection, customer: str | None, page: Page) -> tuple[list[Order], str]:
    """Returns a page of the orders of one customer, or of all if None, the newest first, and the next page's token."""
    conditions = ["true"]
    arguments: list[Key] = [page.limit]
    if customer is not None:
        conditions.append("customer = $2")
        arguments.append(customer)
    if page.after is not None:
        conditions.append(f"(create_time, uid) < (${len(arguments) + 1}, ${len(arguments) + 2})")
        arguments.extend(page.after)
    query = f"""
        SELECT {_COLUMNS}, (SELECT count(*) FROM order_lines WHERE order_uid = uid) AS line_count
        FROM orders WHERE {" AND ".join(conditions)} ORDER BY create_time DESC, uid DESC LIMIT $1
    """
    rows = await tx.fetch(query, *arguments)
    fitting = replace(page, size=min(page.size, _fitting(rows)))
    given, next_page_token = fitting.split(rows, lambda row: (row["create_time"], row["uid"]))
    return await _with_lines(tx, given), next_page_token


def _fitting(rows: "Sequence[asyncpg.Record]") -> int:
    """Returns the number of first rows that have at most PAGE_LINES_MAX lines together. It is at least one, because an
    order has at most 100 lines.
    """
    so_far = accumulate(row["line_count"] for row in rows)
    return sum(1 for lines in so_far if lines <= PAGE_LINES_MAX)


async def _with_lines(tx: Connection, rows: "Sequence[asyncpg.Record]") -> list[Order]:
    lines = await tx.fetch(
        """
        SELECT order_uid, product, title, quantity, currency, unit_price_hundredths
        FROM order_lines WHERE order_uid = ANY($1) ORDER BY order_uid, position
        """,
        [row["uid"] for row in rows],
    )
    by_order = _by_order(lines)
    return [
        Order(
            row["uid"],
            row["customer"],
            tuple(by_order[row["uid"]]),
            State(row["state"]),
            row["create_time"],
            row["update_time"],
            row["version"],
        )
        for row in rows
    ]


def _by_order(rows: "Iterable[asyncpg.Record]") -> dict[UUID, list[OrderLine]]:
    lines: dict[UUID, list[OrderLine]] = defaultdict(list)
    for row in rows:
        unit_price = Money(row["currency"], row["unit_price_hundredths"])
        lines[row["order_uid"]].append(OrderLine(row["product"], row["title"], row["quantity"], unit_price))
    return lines
