"""Advisory locks on a table, a sequence, or a key of a table. A transaction holds them until it ends."""

from mesh.database.connection import Connection


async def lock_relation(tx: Connection, relation: str) -> None:
    """Locks a table or sequence until the transaction ends. Waits while another transaction holds the lock.

    Numbers of a sequence come in the order of statements, rows become visible in that of commits. With this lock,
    one transaction writes at a time and both orders are the same: a reader that has read up to a number misses no
    smaller one that is committed later.
    """
    await tx.execute("SELECT pg_advisory_xact_lock($1::text::regclass::oid::bigint)", relation)


async def try_lock_relation(tx: Connection, relation: str) -> bool:
    """Locks a table or sequence as lock_relation() does, and returns True; returns False if another transaction holds
    the lock. For work that one replica does at a time.
    """
    query = "SELECT pg_try_advisory_xact_lock($1::text::regclass::oid::bigint)"
    taken: bool = await tx.fetchval(query, relation)
    return taken


async def lock_key(tx: Connection, relation: str, key: str, *, shared: bool = False) -> None:
    """Locks a key of a table until the transaction ends, also if no row has the key yet. Waits while another
    transaction holds the lock. Transactions that share it do not wait for each other.
    """
    lock = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    await tx.execute(f"SELECT {lock}($1::text::regclass::oid::int, hashtext($2))", relation, key)


async def try_lock_key(tx: Connection, relation: str, key: str) -> bool:
    """Locks a key of a table as lock_key() does, and returns True; returns False if another transaction holds or shares
    the lock.
    """
    query = "SELECT pg_try_advisory_xact_lock($1::text::regclass::oid::int, hashtext($2))"
    taken: bool = await tx.fetchval(query, relation, key)
    return taken
