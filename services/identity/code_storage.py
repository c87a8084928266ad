"""The SQL of authorization codes. Every function runs in its caller's transaction."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from mesh.database import Connection
from services.identity import storage
from services.identity.code_challenge import verifies
from services.identity.domain import User

LIFETIME = timedelta(seconds=60)
PURGED_PER_CALL_MAX = 2  # more than the one row that a call may add, so that the table stays bounded


@dataclass(frozen=True, slots=True)
class NewCode:
    """A code to add, with the authorization request that it answers."""

    id: UUID
    user_uid: UUID
    client_id: str
    redirect_uri: str
    scopes: frozenset[str]
    code_challenge: str


@dataclass(frozen=True, slots=True)
class RedeemedCode:
    """A code that has been exchanged for tokens, and its user, whose row is locked."""

    user: User
    client_id: str
    redirect_uri: str
    scopes: frozenset[str]
    code_challenge: str

    def matches(self, client_id: str, redirect_uri: str, code_verifier: str) -> bool:
        """Returns whether the client that exchanges the code is the one that asked for it."""
        same = (client_id, redirect_uri) == (self.client_id, self.redirect_uri)
        return same and verifies(code_verifier, self.code_challenge)


async def insert_code(tx: Connection, new: NewCode) -> None:
    """Adds a code of a user that the transaction has locked, and deletes some expired ones."""
    await tx.execute(
        """
        DELETE FROM authorization_codes WHERE id IN (
            SELECT id FROM authorization_codes WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_CALL_MAX,
    )
    query = """
        INSERT INTO authorization_codes (id, user_uid, client_id, redirect_uri, scopes, code_challenge, expire_time)
        VALUES ($1, $2, $3, $4, $5, $6, now() + $7)
    """
    values = (new.id, new.user_uid, new.client_id, new.redirect_uri, sorted(new.scopes), new.code_challenge)
    await tx.execute(query, *values, LIFETIME)


async def redeem_code(tx: Connection, id_: UUID) -> RedeemedCode | None:
    """Locks the user of a code, then deletes the code, so that nobody uses it again; returns None if there is none or
    it has expired. If two transactions redeem the same code, one succeeds.
    """
    owner = await tx.fetchval("SELECT user_uid FROM authorization_codes WHERE id = $1", id_)
    user = await storage.lock_if_present(tx, owner) if owner is not None else None
    query = """
        DELETE FROM authorization_codes WHERE id = $1 AND expire_time > now()
        RETURNING client_id, redirect_uri, scopes, code_challenge
    """
    row = await tx.fetchrow(query, id_) if user is not None else None
    if user is None or row is None:
        return None
    return RedeemedCode(user, row["client_id"], row["redirect_uri"], frozenset(row["scopes"]), row["code_challenge"])


async def delete_codes(tx: Connection, user_uid: UUID) -> None:
    """Deletes all codes of a user."""
    await tx.execute("DELETE FROM authorization_codes WHERE user_uid = $1", user_uid)
