"""The plans of a service's queries, as PostgreSQL makes them for tables of a million rows.

A test fills each table with ROWS rows. Its statistics then say that it has a hundred times as many, so that the planner
decides as it would with a million, at a hundredth of the time. `make bench-indexes` fills in a million.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg

from local.postgres import Postgres
from mesh.database import Connection, Database
from mesh.migrations import MESH_FOLDER, migrate
from mesh.pagination import Page, read_page
from mesh.settings import DatabaseSettings

ROWS = int(os.environ.get("ROWS", "10_000"))
PLANNED_ROWS = 1_000_000

HELD_ROWS_MAX = PLANNED_ROWS // 20
"""The most rows that a query may sort or hash: those of a user, a period or a purge, but not those of a table."""

Read = Callable[[Connection], Awaitable[object]]

# In pages of the size that they have, as the planner counts those itself. It believes the statistics about the rest.
_PRETEND = """
    SELECT pg_restore_relation_stats(
        'schemaname', nspname::text, 'relname', relname::text, 'relpages', relpages, 'reltuples', reltuples * $1::real
    ) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname IN ('public', 'mesh') AND relkind IN ('r', 'i') AND reltuples > 0
"""
_SEQUENTIAL_SCANS = "SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = ANY($1)"


@asynccontextmanager
async def filled_database(postgres: Postgres, service: str, fill: Mapping[str, str]) -> AsyncIterator[Database]:
    """Opens a database of a service whose tables are filled, each by its statement with the number of rows, in
    this order.
    """
    name = f"indexes_{uuid4().hex}"
    await postgres.create_databases(name)
    url = postgres.url(name)
    migrate(url, [MESH_FOLDER, Path("services", service, "migrations")])
    connection = await asyncpg.connect(url)  # without the limits of a call: a busy machine needs its time
    try:
        for table, statement in fill.items():
            await connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
            await connection.execute(statement, ROWS)
            await connection.execute(f"VACUUM (ANALYZE) {table}")
        await connection.execute(_PRETEND, PLANNED_ROWS / ROWS)
    finally:
        await connection.close()
    async with Database.open(DatabaseSettings(database_url=url), service) as database:
        yield database


async def assert_uses_indexes(database: Database, tables: Sequence[str], read: Read) -> None:
    """Asserts that no statement of a read goes through one of these tables, or sorts much of it."""
    async with database.transaction() as tx:
        await tx.execute("SAVEPOINT untouched")
        before = await _sequential_scans(tx, tables)
        statements: list[asyncpg.connection.LoggedQuery] = []
        with tx.query_logger(statements.append):
            await read(tx)
            await asyncio.sleep(0)  # the logger is called by the event loop
        after = await _sequential_scans(tx, tables)
        problems = [f"{table} was read as a whole" for table in tables if after[table] != before[table]]
        for statement in statements:
            problems += [f"{problem}: {statement.query}" for problem in await _problems(tx, tables, statement)]
        await tx.execute("ROLLBACK TO untouched")
    assert statements
    assert not problems, "\n".join(problems)


async def _sequential_scans(tx: Connection, tables: Sequence[str]) -> dict[str, int]:
    """Returns the sequential scans of each table by this transaction. Those by foreign keys are among them."""
    return {row["relname"]: row["seq_scan"] for row in await tx.fetch(_SEQUENTIAL_SCANS, list(tables))}


async def _problems(
    tx: Connection, tables: Sequence[str], statement: "asyncpg.connection.LoggedQuery"
) -> Sequence[str]:
    """Returns what is wrong with the plan of a statement, empty for one that has no plan."""
    first_word = statement.query.split(maxsplit=1)[0]
    if first_word not in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
        return ()
    # A list has the arguments of executemany(). They don't matter: a statement has one plan for all of them (ADR 61).
    arguments = statement.args[0] if isinstance(statement.args, list) else statement.args
    await tx.execute(f"PREPARE statement AS {statement.query}")
    call = f"statement ({', '.join(['NULL'] * len(arguments))})" if arguments else "statement"
    [plan] = json.loads(await tx.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {call}"))
    await tx.execute("DEALLOCATE statement")
    return list(_problems_of(plan["Plan"], frozenset(tables), limited=False))


def _problems_of(node: Mapping[str, Any], tables: frozenset[str], *, limited: bool) -> Iterator[str]:
    """Yields what is wrong with a node of a plan and those below it. `limited` means that it stops after some rows."""
    kind, children = node["Node Type"], node.get("Plans", ())
    is_of_table = node.get("Relation Name") in tables  # not of the catalog, which asyncpg reads
    if kind == "Seq Scan" and is_of_table:
        yield f"sequential scan of {node['Relation Name']}"
    if kind in {"Index Scan", "Index Only Scan"} and is_of_table and "Index Cond" not in node and not limited:
        yield f"scan of all of {node['Index Name']}"
    holds = kind in {"Sort", "Incremental Sort", "Hash", "Materialize"} or node.get("Strategy") == "Hashed"
    if holds and node["Plan Rows"] > HELD_ROWS_MAX:
        yield f"{kind} of {node['Plan Rows']} rows"
    reads_all = holds or kind == "Aggregate"
    for child in children:
        yield from _problems_of(child, tables, limited=kind == "Limit" or (limited and not reads_all))


def page(*key_types: type, size: int = 50) -> Page:
    """Returns the first page of a list."""
    return read_page(size, "", query=(), key_types=key_types)


def next_page(key_types: tuple[type, ...], token: str) -> Page:
    """Returns a page that is not the first."""
    return read_page(50, token, query=(), key_types=key_types)
