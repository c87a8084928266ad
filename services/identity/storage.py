"""The SQL of users, sign-ins and signing keys. Every function runs in its caller's transaction."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from mesh.database import Connection
from services.identity.domain import Role, User, account_deleted

FAMILIES_PER_USER_MAX = 100

_USER = "users.uid, email, display_name, role, users.create_time, update_time, version, email_confirmed"
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
    email_confirmed: bool = False

    def as_user(self, now: datetime) -> User:
        """Returns the user that results from adding this one at `now`."""
        return User(self.uid, self.email, self.display_name, self.role, now, now, 1, self.email_confirmed)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A signing key in the database: encrypted, with its activation time."""

    kid: str
    sealed: str
    activate_time: datetime


@dataclass(frozen=True, slots=True)
class NewFamily:
    """A sign-in to add, with the hash of its first refresh token."""

    id: UUID
    user_uid: UUID
    client_id: str
    user_agent: str
    scopes: frozenset[str]
    token_hash: bytes


@dataclass(frozen=True, slots=True)
class RefreshTokenRotation:
    """The exchange of a family's refresh token for the next, if it is a family of one of these clients."""

    family: UUID
    client_ids: tuple[str, ...]
    user_agent: str
    old_hash: bytes
    new_hash: bytes


@dataclass(frozen=True, slots=True)
class RotatedFamily:
    """The user and the client of a family, and the scopes granted at sign-in."""

    user: User
    client_id: str
    scopes: frozenset[str]


async def insert_user(tx: Connection, new: NewUser) -> User | None:
    """Adds a user and returns it; returns None if the address has an account."""
    query = f"""
        INSERT INTO users (uid, email, display_name, role, password_hash, request_id, email_confirmed)
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING RETURNING {_USER}
    """
    values = (new.uid, new.email, new.display_name, new.role, new.password_hash, new.request_id, new.email_confirmed)
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
    user = await lock_if_present(tx, uid)
    if user is None:
        raise account_deleted()
    return user


async def lock_if_present(tx: Connection, uid: UUID) -> User | None:
    """Locks a user until the transaction ends, and returns it; None if it is deleted."""
    row = await tx.fetchrow(f"SELECT {_USER} FROM users WHERE uid = $1 FOR UPDATE", uid)
    return None if row is None else _user(row)


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


async def set_password(tx: Connection, uid: UUID, password_hash: str) -> None:
    """Changes the password of a user that the transaction has locked."""
    await tx.execute("UPDATE users SET password_hash = $2 WHERE uid = $1", uid, password_hash)


async def set_confirmed_email(tx: Connection, uid: UUID, email: str) -> bool:
    """Changes the address of a user that the transaction has locked to a confirmed one, which may be the present one.
    Returns False if another account has the address: the transaction must end then.
    """
    query = """
        UPDATE users SET email = $2, email_confirmed = true, update_time = now(), version = version + 1 WHERE uid = $1
    """
    try:
        await tx.execute(query, uid, email)
    except asyncpg.UniqueViolationError:
        return False
    return True


async def delete_user(tx: Connection, uid: UUID) -> str:
    """Deletes a user that the transaction has locked, and all sign-ins; returns the registration's request_id."""
    request_id = await tx.fetchval("DELETE FROM users WHERE uid = $1 RETURNING request_id", uid)
    assert isinstance(request_id, str), "the row is locked"
    return request_id


async def insert_family(
    tx: Connection, new: NewFamily, lifetime: timedelta, access_lifetime: timedelta
) -> Sequence[UUID]:
    """Adds a family of refresh tokens to a user that the transaction has locked. Deletes the user's expired families,
    and the longest unused ones beyond FAMILIES_PER_USER_MAX. Returns those that were used within `access_lifetime`,
    because their access tokens may be valid.
    """
    rows = await tx.fetch(
        """
        DELETE FROM refresh_families WHERE user_uid = $1 AND (
            expire_time <= now()
            OR id IN (
                SELECT id FROM refresh_families WHERE user_uid = $1 ORDER BY last_use_time DESC, id DESC OFFSET $2
            )
        )
        RETURNING id, last_use_time > now() - $3::interval AS is_recent
        """,
        new.user_uid,
        FAMILIES_PER_USER_MAX - 1,
        access_lifetime,
    )
    query = """
        INSERT INTO refresh_families (id, user_uid, client_id, user_agent, scopes, token_hash, expire_time)
        VALUES ($1, $2, $3, $4, $5, $6, now() + $7)
    """
    values = (new.id, new.user_uid, new.client_id, new.user_agent, sorted(new.scopes), new.token_hash, lifetime)
    await tx.execute(query, *values)
    return [row["id"] for row in rows if row["is_recent"]]


async def lock_password(tx: Connection, user_uid: UUID, password_hash: str) -> bool:
    """Locks a user until the transaction ends; returns False if it is deleted or has another password than the one with
    this hash, because what was proved a moment ago no longer counts.
    """
    query = "SELECT true FROM users WHERE uid = $1 AND password_hash = $2 FOR NO KEY UPDATE"
    return bool(await tx.fetchval(query, user_uid, password_hash))


async def rotate_family(tx: Connection, rotation: RefreshTokenRotation, lifetime: timedelta) -> RotatedFamily | None:
    """Replaces the newest token of a family. Returns None if the token is not the newest, or another client's.

    If two transactions use the same token, one succeeds: the other waits, and then finds the new hash.
    """
    query = f"""
        UPDATE refresh_families SET token_hash = $3, expire_time = now() + $4, last_use_time = now(), user_agent = $6
        FROM users
        WHERE id = $1 AND token_hash = $2 AND expire_time > now() AND client_id = ANY($5) AND users.uid = user_uid
        RETURNING {_USER}, client_id, scopes
    """
    hashes = (rotation.old_hash, rotation.new_hash)
    row = await tx.fetchrow(query, rotation.family, *hashes, lifetime, rotation.client_ids, rotation.user_agent)
    return None if row is None else RotatedFamily(_user(row), row["client_id"], frozenset(row["scopes"]))


async def is_newest(tx: Connection, family: UUID, token_hash: bytes, client_id: str) -> bool:
    """Returns whether this is the hash of the newest token of a client's family, which has not expired."""
    query = """
        SELECT true FROM refresh_families
        WHERE id = $1 AND token_hash = $2 AND expire_time > now() AND client_id = $3
    """
    return bool(await tx.fetchval(query, family, token_hash, client_id))


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
        row["email_confirmed"],
    )
