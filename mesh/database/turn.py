"""Turns: one transaction at a time has that of a table or sequence, or of a key in it."""

from mesh.database.connection import Connection


async def take_turn(tx: Connection, relation: str) -> None:
    """Waits until no other transaction has the turn of a table or sequence, and keeps it until this one ends.

    Numbers of a sequence come in the order of statements, rows become visible in that of commits. One writer at a time
    makes the two the same, so that nobody who reads up to a number misses a smaller one that is committed later.
    """
    await tx.execute("SELECT pg_advisory_xact_lock($1::text::regclass::oid::bigint)", relation)


async def try_turn(tx: Connection, relation: str) -> bool:
    """Takes the turn of a table or sequence if no other transaction has it, and keeps it until this one ends. For work
    that one replica does at a time.
    """
    query = "SELECT pg_try_advisory_xact_lock($1::text::regclass::oid::bigint)"
    taken: bool = await tx.fetchval(query, relation)
    return taken


async def lock_key(tx: Connection, relation: str, key: str, *, shared: bool = False) -> None:
    """Makes transactions about the same key of a table take turns, from here to their end, also if no row has the key
    yet. Those that share the lock wait only for one that does not.
    """
    lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    await tx.execute(f"SELECT {lock}($1::text::regclass::oid::int, hashtext($2))", relation, key)


async def try_lock_key(tx: Connection, relation: str, key: str) -> bool:
    """Locks a key of a table as lock_key() does, if no other transaction has or shares the lock."""
    query = "SELECT pg_try_advisory_xact_lock($1::text::regclass::oid::int, hashtext($2))"
    taken: bool = await tx.fetchval(query, relation, key)
    return taken
