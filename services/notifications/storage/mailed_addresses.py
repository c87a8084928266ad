"""The table of unconfirmed addresses that had their mail of the day, as keyed hashes."""

from datetime import timedelta

from mesh.database import Connection

MAIL_EVERY = timedelta(days=1)
PURGED_PER_CALL_MAX = 2  # more than the one row that a mail may add, so that the table stays bounded


async def claim(tx: Connection, address_hash: bytes) -> bool:
    """Claims the one mail that an address may get in MAIL_EVERY; returns False if it had one. A concurrent transaction
    that claims it waits until this one ends.
    """
    await tx.execute(
        """
        DELETE FROM mailed_addresses WHERE address_hash IN (
            SELECT address_hash FROM mailed_addresses WHERE expire_time <= now() ORDER BY expire_time LIMIT $1
            FOR UPDATE SKIP LOCKED
        )
        """,
        PURGED_PER_CALL_MAX,
    )
    query = """
        INSERT INTO mailed_addresses AS mailed (address_hash, expire_time) VALUES ($1, now() + $2)
        ON CONFLICT (address_hash) DO UPDATE SET expire_time = excluded.expire_time WHERE mailed.expire_time <= now()
        RETURNING true
    """
    return await tx.fetchval(query, address_hash, MAIL_EVERY) is not None
