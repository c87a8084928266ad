"""The SQL of sessions, as their user sees them. Every function runs in its caller's transaction."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from mesh.database import Connection
from mesh.pagination import Page
from mesh.position import Key
from services.identity.domain import Session

# The parts of the sort key of list_sessions(): last_use_time, id.
KEY_TYPES: tuple[type[Key], ...] = (datetime, UUID)


async def list_sessions(tx: Connection, user_uid: UUID, page: Page) -> tuple[Sequence[Session], str]:
    """Returns a page of the sessions of a user, the last used first, and the next page's token."""
    after = "AND (last_use_time, id) < ($3, $4)" if page.after else ""
    query = f"""
        SELECT id, user_uid, client_id, user_agent, scopes, create_time, last_use_time, expire_time
        FROM refresh_families
        WHERE user_uid = $1 AND expire_time > now() {after} ORDER BY last_use_time DESC, id DESC LIMIT $2
    """
    rows = await tx.fetch(query, user_uid, page.limit, *(page.after or ()))
    return page.split([Session(**row) for row in rows], lambda session: (session.last_use_time, session.id))


async def delete_session(tx: Connection, user_uid: UUID, session: UUID) -> bool:
    """Ends a session of a user, so that its refresh tokens are no longer valid; returns False if there is none."""
    query = "DELETE FROM refresh_families WHERE id = $1 AND user_uid = $2 RETURNING true"
    return bool(await tx.fetchval(query, session, user_uid))


async def session_ids(tx: Connection, user_uid: UUID) -> Sequence[UUID]:
    """Returns the sessions of a user that the transaction has locked."""
    return [row["id"] for row in await tx.fetch("SELECT id FROM refresh_families WHERE user_uid = $1", user_uid)]


async def delete_sessions(tx: Connection, sessions: Collection[UUID]) -> None:
    """Ends sessions."""
    await tx.execute("DELETE FROM refresh_families WHERE id = ANY($1)", list(sessions))
