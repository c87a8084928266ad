"""The lock on what is stored about a user: shared by those who add to it, exclusive to those who need it complete.

Shared locks do not wait for each other, so that a transaction may handle events of several users in any order.
"""

from typing import Final

from mesh.database import Connection, lock_key, try_lock_key

_TABLE: Final = "notifications"


async def share(tx: Connection, user: str) -> None:
    """Waits until no other transaction has the lock for itself. The lock is held until this transaction ends."""
    await lock_key(tx, _TABLE, user, shared=True)


async def take(tx: Connection, user: str) -> None:
    """Waits until no other transaction holds or shares the lock, and takes it until this transaction ends."""
    await lock_key(tx, _TABLE, user)


async def try_to_take(tx: Connection, user: str) -> bool:
    """Takes the lock as take() does, without waiting; returns False if another transaction holds or shares it."""
    return await try_lock_key(tx, _TABLE, user)
