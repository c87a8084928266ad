"""Turns: one transaction at a time has that of a table or sequence."""

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
