"""The lock on what is stored about a user: shared by those who add to it, exclusive to those who need it complete.

Shared locks do not wait for each other, so that a transaction may handle events of several users in any order.
"""

from typing import Final

from mesh.database import Connection

_KEY: Final = "'notifications'::regclass::oid::int, hashtext($1)"


async def share(tx: Connection, user: str) -> None:
    """Waits until no other transaction has the lock for itself. The lock is held until this transaction ends."""
    await tx.execute(f"SELECT pg_advisory_xact_lock_shared({_KEY})", user)


async def take(tx: Connection, user: str) -> None:
    """Waits until no other transaction holds or shares the lock, and takes it until this transaction ends."""
    await tx.execute(f"SELECT pg_advisory_xact_lock({_KEY})", user)


async def try_to_take(tx: Connection, user: str) -> bool:
    """Takes the lock as take() does, without waiting; returns False if another transaction holds or shares it."""
    taken: bool = await tx.fetchval(f"SELECT pg_try_advisory_xact_lock({_KEY})", user)
    return taken
