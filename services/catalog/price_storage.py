"""The SQL of scheduled prices. Every function runs in its caller's transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.money import Money
from mesh.pagination import Page
from mesh.position import Key
from services.catalog.domain.price import Price, Schedule, Terms, overlapping

KEY_TYPES: Final[tuple[type[Key], ...]] = (datetime, UUID)
"""The sort key of list_prices(): start and identifier."""

_COLUMNS: Final = "uid, product_uid, currency, hundredths, start_time, end_time, create_time, update_time, version"
_PLACEHOLDERS: Final = "$1, $2, $3, $4, $5, $6, $7, $8, $9"


async def insert(tx: Connection, price: Price) -> None:
    """Inserts a new price. Raises FailedPrecondition if it overlaps another one."""
    await _write(tx, f"INSERT INTO prices ({_COLUMNS}) VALUES ({_PLACEHOLDERS})", price)


async def update(tx: Connection, price: Price) -> None:
    """Writes a changed price. Raises FailedPrecondition if it overlaps another one."""
    await _write(tx, f"UPDATE prices SET ({_COLUMNS}) = ({_PLACEHOLDERS}) WHERE uid = $1", price)


async def _write(tx: Connection, statement: str, price: Price) -> None:
    terms = price.terms
    amount, times = (terms.amount.currency, terms.amount.hundredths), (price.create_time, price.update_time)
    values = (price.uid, price.product_uid, *amount, terms.start, terms.end, *times, price.version)
    try:
        await tx.execute(statement, *values)
    except asyncpg.ExclusionViolationError as error:
        raise overlapping() from error


async def delete(tx: Connection, price: Price) -> None:
    """Deletes a price."""
    await tx.execute("DELETE FROM prices WHERE uid = $1", price.uid)


async def find(tx: Connection, product_uid: UUID, uid: UUID) -> Price | None:
    """Returns a price of a product, None if there is none."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM prices WHERE uid = $1 AND product_uid = $2", uid, product_uid)
    return None if row is None else _price(row)


async def list_prices(tx: Connection, product_uid: UUID, page: Page) -> tuple[Sequence[Price], str]:
    """Returns a page of a product's prices, those that start last first, and the next page's token."""
    after = "" if page.after is None else "AND (start_time, uid) < ($3, $4)"
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM prices WHERE product_uid = $1 {after}
        ORDER BY product_uid DESC, start_time DESC, uid DESC LIMIT $2
        """,
        *(product_uid, page.limit, *(page.after or ())),
    )
    given, next_page_token = page.split(rows, lambda row: [row["start_time"], row["uid"]])
    return [_price(row) for row in given], next_page_token


async def read_schedules(tx: Connection, products: Iterable[UUID], now: datetime) -> dict[UUID, Schedule]:
    """Returns the schedules of these products: their prices that have not ended by now."""
    prices: defaultdict[UUID, list[Price]] = defaultdict(list)
    uids = list(products)
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM prices WHERE product_uid = ANY($1) AND (end_time IS NULL OR end_time > $2)", uids, now
    )
    for row in rows:
        prices[row["product_uid"]].append(_price(row))
    return {uid: Schedule.of(prices[uid]) for uid in uids}


async def purge(tx: Connection, ended_before: datetime, limit: int) -> None:
    """Deletes some of the prices that ended before a time."""
    await tx.execute(
        """
        DELETE FROM prices
        WHERE uid IN (SELECT uid FROM prices WHERE end_time < $1 ORDER BY end_time LIMIT $2)
        """,
        ended_before,
        limit,
    )


def _price(row: Any) -> Price:
    terms = Terms(Money(row["currency"], row["hundredths"]), row["start_time"], row["end_time"])
    times = row["create_time"], row["update_time"]
    return Price(row["uid"], row["product_uid"], terms, *times, row["version"])
