"""The tables of the codes that verify phone numbers, and of how many were sent."""

from typing import Final

from mesh.database import Connection
from services.notifications.domain.phone_code import CODES_MAX, CODES_PER, PhoneCode

PURGED_PER_CALL_MAX: Final = 4  # more than the two counts and the code that a call may add


async def claim(tx: Connection, key_hash: bytes) -> bool:
    """Claims one of the codes that a user or a number may get; returns False if it had all of them. A concurrent
    transaction that claims one waits until this one ends.
    """
    await tx.execute(
        """
        DELETE FROM phone_code_counts WHERE key_hash IN (
            SELECT key_hash FROM phone_code_counts WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_CALL_MAX,
    )
    query = """
        INSERT INTO phone_code_counts AS counted (key_hash, codes, expire_time) VALUES ($1, 1, now() + $2)
        ON CONFLICT (key_hash) DO UPDATE SET
            codes = CASE WHEN counted.expire_time <= now() THEN 1 ELSE counted.codes + 1 END,
            expire_time = CASE WHEN counted.expire_time <= now() THEN excluded.expire_time ELSE counted.expire_time END
        WHERE counted.expire_time <= now() OR counted.codes < $3
        RETURNING true
    """
    return await tx.fetchval(query, key_hash, CODES_PER, CODES_MAX) is not None


async def write(tx: Connection, code: PhoneCode) -> None:
    """Writes the code of a user, in place of an earlier one, and deletes some that have expired."""
    await tx.execute(
        """
        DELETE FROM phone_codes WHERE user_name IN (
            SELECT user_name FROM phone_codes WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_CALL_MAX,
    )
    await tx.execute(
        """
        INSERT INTO phone_codes (user_name, phone_number, code_hash, attempts_left, expire_time)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_name) DO UPDATE SET
            phone_number = excluded.phone_number, code_hash = excluded.code_hash,
            attempts_left = excluded.attempts_left, expire_time = excluded.expire_time
        """,
        code.user,
        code.phone_number,
        code.code_hash,
        code.attempts_left,
        code.expire_time,
    )


async def find(tx: Connection, user: str) -> PhoneCode | None:
    """Returns the code of a user, None if there is none; locks it until the transaction ends."""
    row = await tx.fetchrow(
        """
        SELECT phone_number, code_hash, expire_time, attempts_left FROM phone_codes WHERE user_name = $1 FOR UPDATE
        """,
        user,
    )
    if row is None:
        return None
    return PhoneCode(user, row["phone_number"], row["code_hash"], row["expire_time"], row["attempts_left"])


async def delete_of(tx: Connection, user: str) -> None:
    """Deletes the code of a user."""
    await tx.execute("DELETE FROM phone_codes WHERE user_name = $1", user)
