"""The SQL that erases customers. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from mesh.database import Connection
from mesh.erased_users import ERASED_USER, ErasedUsers, erase_in_parts
from services.orders.storage import CHANNEL

ERASED_CUSTOMERS: Final = ErasedUsers("erased_customers", "customer", timedelta(days=1))


async def lock_unsold(tx: Connection, customer: str) -> Sequence[UUID]:
    """Locks the orders of a customer that are not sold, and returns the pending ones, in the order of their
    identifiers. Raises LockNotAvailableError instead of waiting for an order that another transaction has locked: that
    one may wait for another of these orders, as the events of a batch come in any order.
    """
    rows = await tx.fetch(
        """
        SELECT uid, state = 'pending' AS pending FROM orders
        WHERE customer = $1 AND state IN ('pending', 'cancelled') ORDER BY uid FOR UPDATE NOWAIT
        """,
        customer,
    )
    return [row["uid"] for row in rows if row["pending"]]


async def anonymise(tx: Connection, customer: str) -> None:
    """Removes the name of a customer from the orders that ended before anything was sold, which lock_unsold() must have
    locked, and wakes their streams.
    """
    await erase_in_parts(
        tx,
        customer,
        find="""
        SELECT uid FROM orders WHERE customer = $1 AND state = 'cancelled' AND refunded_hundredths IS NULL
        AND NOT EXISTS (SELECT FROM order_changes WHERE order_uid = orders.uid AND order_changes.state = 'confirmed')
        """,
        erase=f"""
        WITH changed AS (
            UPDATE order_changes SET actor = '' FROM orders
            WHERE order_uid = ANY($1::uuid[]) AND uid = order_uid AND actor = customer
        )
        UPDATE orders SET customer = '', version = version + 1 WHERE uid = ANY($1::uuid[])
        RETURNING pg_notify('{CHANNEL}', uid::text)
        """,
    )


async def mark_sold(tx: Connection, customer: str) -> None:
    """Marks the orders of a customer that are paid and not shipped: only these are still announced, without the name.
    Raises LockNotAvailableError as lock_unsold() does, and must follow it: no order becomes paid in between.
    """
    await erase_in_parts(
        tx,
        customer,
        find="SELECT uid FROM orders WHERE customer = $1 AND state = 'confirmed' ORDER BY uid FOR UPDATE NOWAIT",
        erase="UPDATE orders SET customer_deleted = true WHERE uid = ANY($1::uuid[])",
    )


async def forget_staff(tx: Connection, user: str) -> None:
    """Replaces the name of a user in the changes of other users' orders by ERASED_USER. Call it after anonymise()."""
    await erase_in_parts(
        tx,
        user,
        find="""
        SELECT order_changes.ctid FROM order_changes JOIN orders ON uid = order_uid
        WHERE customer <> $1 AND actor = $1 AND actor LIKE 'users/%'
        """,
        erase=f"UPDATE order_changes SET actor = '{ERASED_USER}' WHERE ctid = ANY($1::tid[])",
    )
