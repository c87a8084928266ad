"""The SQL of stock, adjustments and reservations. Every function runs in its caller's transaction.

Locks are taken in one order, so that no two transactions wait for each other: first the reservation of an order, then
the stock of its products, by their names.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from mesh.database import Connection, lock_relation
from mesh.pagination import Page
from mesh.position import Key
from services.inventory.domain import Reservation, State, Stock

STOCK_KEY_TYPES: Final[tuple[type[Key], ...]] = (str,)
"""The sort key of list_stock(): product."""

ADJUSTMENT_KEY_TYPES: Final[tuple[type[Key], ...]] = (int,)
"""The sort key of list_adjustments(): number."""

LOW_CHANGE_KEY_TYPES: Final[tuple[type[Key], ...]] = (int, int)
"""The arguments of list_low_changes(): the position of a change between low and not low, that of the stream's begin."""

LOW_CHANGES_MAX: Final = 100

_STOCK: Final = "product, on_hand, reserved, reorder_level, reorder_quantity, update_time, version, deleted"


class StockFilter(enum.Enum):
    """A filter of a list of stock. The value is its condition in SQL; each but the first has an index. Products that
    were never in stock are in no list, also if they have a row.
    """

    ALL = "version > 0"
    # Replicas of the version before, which know no deleted products, may mark one as low.
    LOW = "low AND NOT deleted"
    TO_REORDER = "low AND NOT deleted AND reorder_quantity > 0"


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A change of a product's stock by staff; `reason` is the name of the contract's value."""

    product: str
    delta: int
    reason: str
    note: str
    actor: str
    create_time: datetime


async def find(tx: Connection, product: str) -> Stock | None:
    """Returns the stock of a product, None if it has no row."""
    row = await tx.fetchrow(f"SELECT {_STOCK} FROM stock WHERE product = $1", product)
    return None if row is None else _stock(row)


async def lock(tx: Connection, products: Iterable[str]) -> dict[str, Stock]:
    """Returns the stock of those products that have any, locked until the transaction ends."""
    rows = await tx.fetch(
        f"SELECT {_STOCK} FROM stock WHERE product = ANY($1) ORDER BY product FOR UPDATE", sorted(products)
    )
    return {row["product"]: _stock(row) for row in rows}


async def lock_all(tx: Connection, products: Iterable[str], now: datetime) -> dict[str, Stock]:
    """Returns the stock of all these products, locked until the transaction ends. A product without stock gets an empty
    one, which must then be updated.
    """
    await tx.executemany(
        f"""
        INSERT INTO stock ({_STOCK}, low) VALUES ($1, 0, 0, 0, 0, $2, 0, false, false)
        ON CONFLICT (product) DO NOTHING
        """,
        [(product, now) for product in sorted(products)],
    )
    return await lock(tx, products)


async def update(tx: Connection, before: Mapping[str, Stock], after: Iterable[Stock]) -> list[Stock]:
    """Writes changed stock, which must be locked. Returns that of the products that became low by the change."""
    changed = sorted(after, key=lambda each: each.product)
    if any(_counts_as_low(each) is not _counts_as_low(before[each.product]) for each in changed):
        await lock_relation(tx, "stock_low_change")
    await tx.executemany(
        """
        UPDATE stock SET on_hand = $2, reserved = $3, reorder_level = $4, reorder_quantity = $5, update_time = $6,
            version = $7, deleted = $8, low = $9,
            low_change = CASE WHEN low = $9 THEN low_change ELSE nextval('stock_low_change') END
        WHERE product = $1
        """,
        [
            (
                each.product,
                each.on_hand,
                each.reserved,
                each.reorder_level,
                each.reorder_quantity,
                each.update_time,
                each.version,
                each.deleted,
                _counts_as_low(each),
            )
            for each in changed
        ],
    )
    return [each for each in changed if _counts_as_low(each) and not before[each.product].low]


def _counts_as_low(stock: Stock) -> bool:
    """Returns whether the row of this stock counts as low. A row that lock_all() made does not yet, so that the product
    appears in streams even if it never was in stock.
    """
    return stock.low and stock.version > 0


async def list_stock(tx: Connection, page: Page, stock_filter: StockFilter) -> tuple[Sequence[Stock], str]:
    """Returns a page of the stock by the name of the product, and the next page's token."""
    after = "AND product > $2" if page.after else ""
    rows = await tx.fetch(
        f"SELECT {_STOCK} FROM stock WHERE {stock_filter.value} {after} ORDER BY product LIMIT $1",
        page.limit,
        *(page.after or ()),
    )
    return page.split([_stock(row) for row in rows], lambda each: (each.product,))


async def low_position(tx: Connection) -> int:
    """Returns the position of the last change between low and not low."""
    position: int = await tx.fetchval("SELECT coalesce(max(low_change), 0) FROM stock")
    return position


async def list_low_changes(tx: Connection, after: Key, began: Key) -> list[tuple[int, Stock]]:
    """Returns the stock that became low or was refilled after this position, each once, with its last position, but
    for what was refilled before the stream began. At most LOW_CHANGES_MAX are returned.
    """
    rows = await tx.fetch(
        f"""
        SELECT {_STOCK}, low_change FROM stock WHERE low_change > $1 AND (low OR low_change > $2)
        ORDER BY low_change LIMIT {LOW_CHANGES_MAX}
        """,
        after,
        began,
    )
    return [(row["low_change"], _stock(row)) for row in rows]


async def insert_adjustments(tx: Connection, adjustments: Iterable[Adjustment]) -> None:
    """Records adjustments."""
    await tx.executemany(
        """
        INSERT INTO adjustments (product, delta, reason, note, actor, create_time) VALUES ($1, $2, $3, $4, $5, $6)
        """,
        [(each.product, each.delta, each.reason, each.note, each.actor, each.create_time) for each in adjustments],
    )


async def list_adjustments(tx: Connection, product: str, page: Page) -> tuple[Sequence[Adjustment], str]:
    """Returns a page of a product's adjustments, the newest first, and the next page's token."""
    after = "AND number < $3" if page.after else ""
    rows = await tx.fetch(
        f"""
        SELECT number, product, delta, reason, note, actor, create_time FROM adjustments
        WHERE product = $1 {after} ORDER BY number DESC LIMIT $2
        """,
        product,
        page.limit,
        *(page.after or ()),
    )
    given, next_page_token = page.split(rows, lambda row: (row["number"],))
    return [
        Adjustment(row["product"], row["delta"], row["reason"], row["note"], row["actor"], row["create_time"])
        for row in given
    ], next_page_token


async def begin(tx: Connection, order: str, expire_time: datetime) -> Reservation | None:
    """Returns the reservation of an order, locked until the transaction ends; None if it had none. In that case it has
    one afterwards, which is released and holds no units.
    """
    new = await tx.fetchval(
        """
        INSERT INTO reservations (order_name, state, expire_time) VALUES ($1, 'released', $2)
        ON CONFLICT (order_name) DO NOTHING RETURNING true
        """,
        order,
        expire_time,
    )
    return None if new else await find_reservation(tx, order)


async def find_reservation(tx: Connection, order: str) -> Reservation | None:
    """Returns the reservation of an order, locked until the transaction ends; None if it has none."""
    # The units are as old as the row, so it does not matter that a statement that has waited for its lock reads them as
    # they were before.
    row = await tx.fetchrow(
        """
        SELECT state, expire_time,
            ARRAY(SELECT (product, quantity) FROM reserved_units WHERE order_name = reservations.order_name) AS units
        FROM reservations WHERE order_name = $1 FOR UPDATE
        """,
        order,
    )
    return None if row is None else Reservation(order, State(row["state"]), dict(row["units"]), row["expire_time"])


async def write(tx: Connection, reservation: Reservation) -> None:
    """Writes the state of a reservation, which must be locked."""
    await tx.execute(
        "UPDATE reservations SET state = $2, expire_time = $3 WHERE order_name = $1",
        reservation.order,
        reservation.state.value,
        reservation.expire_time,
    )


async def settle(tx: Connection, reservation: Reservation) -> None:
    """Writes the state of a reservation that has begun in this transaction, and the units that its order wants, whether
    they are reserved or not. They never change.
    """
    await tx.execute(
        """
        WITH settled AS (UPDATE reservations SET state = $2, expire_time = $3 WHERE order_name = $1)
        INSERT INTO reserved_units (order_name, product, quantity)
        SELECT $1, product, quantity FROM unnest($4::text[], $5::integer[]) AS units (product, quantity)
        """,
        reservation.order,
        reservation.state.value,
        reservation.expire_time,
        list(reservation.units),
        list(reservation.units.values()),
    )


async def take_expired(tx: Connection, now: datetime) -> Reservation | None:
    """Returns the reservation that expired first, locked until the transaction ends; None if all such reservations are
    locked by other workers.
    """
    order = await tx.fetchval(
        """
        SELECT order_name FROM reservations WHERE state = 'reserved' AND expire_time <= $1
        ORDER BY expire_time LIMIT 1 FOR UPDATE SKIP LOCKED
        """,
        now,
    )
    return None if order is None else await find_reservation(tx, order)


def _stock(row: "asyncpg.Record") -> Stock:
    return Stock(
        row["product"],
        row["on_hand"],
        row["reserved"],
        row["reorder_level"],
        row["reorder_quantity"],
        row["update_time"],
        row["version"],
        row["deleted"],
    )
