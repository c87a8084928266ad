"""The SQL of users, sign-ins and signing keys. Every function runs in its caller's transaction."""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from mesh.database import Connection
from services.identity.domain import Role, User, account_deleted

FAMILIES_PER_USER_MAX = 100

_USER = "users.uid, email, display_name, role, create_time, update_time, version"
_SAME_EMAIL = 'lower(email COLLATE "C") = lower($1 COLLATE "C")'  # the expression of the unique index


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to add. `request_id` is that of the registration, empty if there was none."""

    uid: UUID
    email: str
    display_name: str
    role: Role
    password_hash: str
    request_id: str = ""

    def as_user(self, now: datetime) -> User:
        """Returns the user that results from adding this one at `now`."""
        return User(self.uid, self.email, self.display_name, self.role, now, now, version=1)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key in the database: encrypted, with its activation time."""

    kid: str
    sealed: str
    activate_time: datetime


async def insert_user(tx: Connection, new: NewUser) -> User | None:
    """Adds a user and returns it; returns None if the address has an account."""
    query = f"""
        INSERT INTO users (uid, email, display_name, role, password_hash, request_id)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING {_USER}
    """
    values = (new.uid, new.email, new.display_name, new.role, new.password_hash, new.request_id)
    row = await tx.fetchrow(query, *values)
    return None if row is None else _user(row)


async def find_user(tx: Connection, uid: UUID) -> User | None:
    """Returns a user, None if there is none."""
    row = await tx.fetchrow(f"SELECT {_USER} FROM users WHERE uid = $1", uid)
    return None if row is None else _user(row)


async def lock_user(tx: Connection, uid: UUID) -> User:
    """Locks the caller's own user until the transaction ends, and returns it. Raises Unauthenticated if it is
    deleted.
    """
    row = await tx.fetchrow(f"SELECT {_USER} FROM users WHERE uid = $1 FOR UPDATE", uid)
    if row is None:
        raise account_deleted()
    return _user(row)


async def find_by_email(tx: Connection, email: str) -> tuple[User, str] | None:
    """Returns the user with an address, regardless of case, and the hash of the password; None if there is none."""
    row = await tx.fetchrow(f"SELECT {_USER}, password_hash FROM users WHERE {_SAME_EMAIL}", email)
    return None if row is None else (_user(row), row["password_hash"])


async def rename_user(tx: Connection, uid: UUID, display_name: str) -> User:
    """Changes the name of a user that the transaction has locked."""
    query = f"""
        UPDATE users SET display_name = $2, update_time = now(), version = version + 1
        WHERE uid = $1 RETURNING {_USER}
    """
    row = await tx.fetchrow(query, uid, display_name)
    assert row is not None, "the row is locked"
    return _user(row)


async def delete_user(tx: Connection, uid: UUID) -> str:
    """Deletes a user that the transaction has locked, and all sign-ins; returns the registration's request_id."""
    request_id = await tx.fetchval("DELETE FROM users WHERE uid = $1 RETURNING request_id", uid)
    assert isinstance(request_id, str), "the row is locked"
    return request_id


async def insert_family(
    tx: Connection, family: UUID, user_uid: UUID, scopes: Set[str], token_hash: bytes, lifetime: timedelta
) -> bool:
    """Adds a family of refresh tokens; returns False if the user does not exist.

    Deletes the user's expired families, and the longest unused ones beyond FAMILIES_PER_USER_MAX.
    """
    if not await tx.fetchval("SELECT true FROM users WHERE uid = $1 FOR NO KEY UPDATE", user_uid):
        return False
    await tx.execute(
        """
        DELETE FROM refresh_families WHERE user_uid = $1 AND (
            expire_time <= now()
            OR id IN (SELECT id FROM refresh_families WHERE user_uid = $1 ORDER BY expire_time DESC OFFSET $2)
        )
        """,
        user_uid,
        FAMILIES_PER_USER_MAX - 1,
    )
    query = """
        INSERT INTO refresh_families (id, user_uid, scopes, token_hash, expire_time)
        VALUES ($1, $2, $3, $4, now() + $5)
    """
    await tx.execute(query, family, user_uid, sorted(scopes), token_hash, lifetime)
    return True


async def rotate_family(
    tx: Connection, family: UUID, old_hash: bytes, new_hash: bytes, lifetime: timedelta
) -> tuple[User, frozenset[str]] | None:
    """Replaces the newest token of a family. Returns its user and the scopes granted at sign-in, None if the token is
    not the newest.

    If two transactions use the same token, one succeeds: the other waits, and then finds the new hash.
    """
    query = f"""
        UPDATE refresh_families SET token_hash = $3, expire_time = now() + $4 FROM users
        WHERE id = $1 AND token_hash = $2 AND expire_time > now() AND users.uid = user_uid
        RETURNING {_USER}, scopes
    """
    row = await tx.fetchrow(query, family, old_hash, new_hash, lifetime)
    return None if row is None else (_user(row), frozenset(row["scopes"]))


async def delete_family(tx: Connection, family: UUID) -> tuple[UUID, bytes] | None:
    """Ends a sign-in, so that its refresh tokens are no longer valid. Returns its user and the hash of its newest
    token, None if there is no such sign-in.
    """
    row = await tx.fetchrow("DELETE FROM refresh_families WHERE id = $1 RETURNING user_uid, token_hash", family)
    return None if row is None else (row["user_uid"], row["token_hash"])


async def lock_signing_keys(tx: Connection) -> None:
    """Locks the keys against changes by other replicas until the transaction ends; they can still be read."""
    await tx.execute("LOCK TABLE signing_keys IN SHARE ROW EXCLUSIVE MODE")


async def read_signing_keys(tx: Connection) -> tuple[datetime, tuple[StoredKey, ...]]:
    """Returns the time of the database, which all replicas share, and the keys in the order of their activation."""
    now = await tx.fetchval("SELECT clock_timestamp()")
    rows = await tx.fetch("SELECT kid, sealed, activate_time FROM signing_keys ORDER BY activate_time, kid")
    return now, tuple(StoredKey(row["kid"], row["sealed"], row["activate_time"]) for row in rows)


async def insert_signing_key(tx: Connection, key: StoredKey) -> None:
    """Adds a key."""
    query = "INSERT INTO signing_keys (kid, sealed, activate_time) VALUES ($1, $2, $3)"
    await tx.execute(query, key.kid, key.sealed, key.activate_time)


async def delete_signing_keys(tx: Connection, kids: Iterable[str]) -> None:
    """Deletes keys."""
    await tx.execute("DELETE FROM signing_keys WHERE kid = ANY($1)", list(kids))


def _user(row: asyncpg.Record) -> User:
    return User(
        row["uid"],
        row["email"],
        row["display_name"],
        Role(row["role"]),
        row["create_time"],
        row["update_time"],
        row["version"],
    )
