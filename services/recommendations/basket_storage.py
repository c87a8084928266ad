"""The SQL of baskets. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.erased_users import erase_in_parts
from services.recommendations.domain.basket import Basket
from services.recommendations.domain.recommendation import HISTORY_MAX

BASKETS_OF_CUSTOMER_MAX: Final = 50

_COLUMNS: Final = "order_uid, customer, products, bought_time"


async def insert(tx: Connection, basket: Basket) -> None:
    """Writes a basket, to be counted."""
    await tx.execute(
        f"INSERT INTO baskets ({_COLUMNS}, state) VALUES ($1, $2, $3, $4, 'new') ON CONFLICT DO NOTHING",
        basket.order,
        basket.customer,
        basket.products,
        basket.bought_time,
    )


async def withdraw(tx: Connection, order: UUID) -> None:
    """Deletes the basket of an order, at once if it is not counted yet."""
    # The lock waits for a count that is under way: conditions on the state alone would miss the row that it changes.
    await tx.execute("SELECT FROM baskets WHERE order_uid = $1 FOR UPDATE", order)
    await tx.execute("UPDATE baskets SET state = 'withdrawn' WHERE order_uid = $1 AND state = 'counted'", order)
    await tx.execute("DELETE FROM baskets WHERE order_uid = $1 AND state = 'new'", order)


async def take_new(tx: Connection, limit: int) -> list[Basket]:
    """Marks baskets as counted, and returns them."""
    query = f"""
        UPDATE baskets SET state = 'counted' WHERE order_uid IN (
            SELECT order_uid FROM baskets WHERE state = 'new' ORDER BY bought_time LIMIT $1 FOR UPDATE SKIP LOCKED
        ) RETURNING {_COLUMNS}
    """
    return _baskets(await tx.fetch(query, limit))


async def take_withdrawn(tx: Connection, limit: int) -> list[Basket]:
    """Deletes baskets of cancelled orders, and returns them."""
    query = f"""
        DELETE FROM baskets WHERE order_uid IN (
            SELECT order_uid FROM baskets WHERE state = 'withdrawn' ORDER BY bought_time LIMIT $1 FOR UPDATE SKIP LOCKED
        ) RETURNING {_COLUMNS}
    """
    return _baskets(await tx.fetch(query, limit))


async def take_old(tx: Connection, before: datetime, limit: int) -> list[Basket]:
    """Deletes counted baskets of orders from before a time, and returns them."""
    query = f"""
        DELETE FROM baskets WHERE order_uid IN (
            SELECT order_uid FROM baskets WHERE state = 'counted' AND bought_time < $1
            ORDER BY bought_time LIMIT $2 FOR UPDATE SKIP LOCKED
        ) RETURNING {_COLUMNS}
    """
    return _baskets(await tx.fetch(query, before, limit))


async def find_history(tx: Connection, customer: str) -> Sequence[UUID]:
    """Returns the products that a customer has bought, the last ones first, at most HISTORY_MAX."""
    query = """
        SELECT products FROM baskets WHERE customer = $1 AND state <> 'withdrawn' ORDER BY bought_time DESC LIMIT $2
    """
    rows = await tx.fetch(query, customer, BASKETS_OF_CUSTOMER_MAX)
    return list(dict.fromkeys(product for row in rows for product in row["products"]))[:HISTORY_MAX]


async def forget(tx: Connection, customer: str) -> None:
    """Removes the customer from their baskets, which still count."""
    await erase_in_parts(
        tx,
        customer,
        find="SELECT order_uid FROM baskets WHERE customer = $1",
        erase="UPDATE baskets SET customer = NULL WHERE order_uid = ANY($1::uuid[])",
    )


def _baskets(rows: Sequence[asyncpg.Record]) -> list[Basket]:
    return [Basket(row["order_uid"], row["customer"], tuple(row["products"]), row["bought_time"]) for row in rows]
