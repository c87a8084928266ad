"""The changes of orders, which storage writes with them. Every function runs in its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mesh.database import Connection
from mesh.pagination import Page
from mesh.position import Key
from services.orders.domain import PendingStep, State

# The part of the sort key of list_changes(): version.
KEY_TYPES: tuple[type[Key], ...] = (int,)


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an order's state or pending step: what they are after it, who made it, and why."""

    version: int
    time: datetime
    actor: str
    state: State
    pending_step: PendingStep | None
    reason: str


async def list_changes(tx: Connection, order: UUID, page: Page) -> tuple[Sequence[Change], str]:
    """Returns a page of the changes of an order, the oldest first, and the next page's token."""
    query = """
        SELECT version, change_time, actor, state, pending_step, reason FROM order_changes
        WHERE order_uid = $1 AND version > $2::bigint ORDER BY version LIMIT $3
    """
    [after] = page.after or (0,)
    rows = await tx.fetch(query, order, after, page.limit)
    changes = [
        Change(
            row["version"],
            row["change_time"],
            row["actor"],
            State(row["state"]),
            PendingStep(row["pending_step"]) if row["pending_step"] else None,
            row["reason"],
        )
        for row in rows
    ]
    return page.split(changes, lambda change: (change.version,))
