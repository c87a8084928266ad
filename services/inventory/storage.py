"""Inventories in PostgreSQL. Every function works inside the transaction it is given."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.pagination import Page
from mesh.position import Key
from services.inventory.domain import Details, Inventory

LIST_KEY_TYPES: Final[tuple[type[Key], ...]] = (datetime, UUID)
"""The sort key of list_inventories(): create_time, uid."""

CHANGE_KEY_TYPES: Final[tuple[type[Key], ...]] = (int,)
"""The position of a change."""

CHANGES_MAX: Final = 100

_COLUMNS: Final = "uid, owner, display_name, description, create_time, update_time, delete_time, version"

# Numbers come in the order of statements, rows become visible in that of commits. One writer at a time makes the two
# the same, so that nobody who reads up to a number misses a smaller one that is committed later. The lock is released
# at the end of the transaction.
_TAKE_TURN: Final = "SELECT pg_advisory_xact_lock('inventories'::regclass::oid::bigint)"


async def insert(tx: Connection, inventory: Inventory) -> None:
    """Writes a new inventory."""
    await tx.execute(_TAKE_TURN)
    await tx.execute(
        f"""
        INSERT INTO inventories ({_COLUMNS}, change)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nextval('inventories_change'))
        """,
        *_values(inventory),
    )


async def update(tx: Connection, inventory: Inventory) -> None:
    """Writes a changed inventory. find(…, lock=True) must have locked its row."""
    await tx.execute(_TAKE_TURN)
    await tx.execute(
        f"""
        UPDATE inventories SET ({_COLUMNS}, change) =
            ($1, $2, $3, $4, $5, $6, $7, $8, nextval('inventories_change'))
        WHERE uid = $1
        """,
        *_values(inventory),
    )


def _values(inventory: Inventory) -> tuple[object, ...]:
    return (
        inventory.uid,
        inventory.owner,
        inventory.details.display_name,
        inventory.details.description,
        inventory.create_time,
        inventory.update_time,
        inventory.delete_time,
        inventory.version,
    )


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> Inventory | None:
    """Returns an inventory, deleted or not. `lock` keeps others from changing it meanwhile."""
    query = f"SELECT {_COLUMNS} FROM inventories WHERE uid = $1"
    row = await tx.fetchrow(f"{query} FOR UPDATE" if lock else query, uid)
    return None if row is None else _inventory(row)


async def list_inventories(tx: Connection, owner: str, page: Page) -> tuple[Sequence[Inventory], str]:
    """Returns a page of a user's inventories, the newest first, and the next page's token."""
    after = "AND (create_time, uid) < ($3, $4)" if page.after else ""
    query = f"""
        SELECT {_COLUMNS} FROM inventories WHERE owner = $1 AND delete_time IS NULL {after}
        ORDER BY create_time DESC, uid DESC LIMIT $2
    """
    rows = await tx.fetch(query, owner, page.limit, *(page.after or ()))
    return page.split([_inventory(row) for row in rows], lambda each: (each.create_time, each.uid))


async def list_changes(tx: Connection, owner: str, after: Sequence[Key] | None) -> list[tuple[int, Inventory]]:
    """Returns a user's inventories that changed after this position, all of them if it is None.

    Each is there once, with the position of its last change, in the order of the changes, deleted ones too. At most
    CHANGES_MAX are returned.
    """
    query = f"""
        SELECT {_COLUMNS}, change FROM inventories
        WHERE owner = $1 AND change > $2 ORDER BY change LIMIT {CHANGES_MAX}
    """
    rows = await tx.fetch(query, owner, *(after or (0,)))
    return [(row["change"], _inventory(row)) for row in rows]


def _inventory(row: "asyncpg.Record") -> Inventory:
    return Inventory(
        row["uid"],
        row["owner"],
        Details(row["display_name"], row["description"]),
        row["create_time"],
        row["update_time"],
        row["delete_time"],
        row["version"],
    )
