"""Findings about plans: each kind of problem is found, so that the tests of the services can fail."""

from collections.abc import AsyncIterator

import pytest

from local.postgres import Postgres
from mesh.database import Database
from tests.services.indexes import assert_uses_indexes, filled_database

FILL = {
    "products": """
        INSERT INTO products (
            uid, title, description, category, currency, price_hundredths, create_time, update_time, version
        ) SELECT gen_random_uuid(), 'Saw ' || n, '', 'c', 'EUR', n, now(), now(), 1
        FROM generate_series(1, $1::int) AS n
    """,
}

PROBLEMS = {
    "SELECT title FROM products WHERE description = $1 LIMIT 1": "sequential scan of products",
    "SELECT count(uid) FROM products WHERE description > '' AND $1 = ''": "scan of all|sequential scan",
    "SELECT uid FROM products WHERE title > $1 ORDER BY description LIMIT 10": "Sort of 333333 rows",
    "SELECT title FROM products WHERE title > $1 GROUP BY title ORDER BY count(*) LIMIT 10": "Sort of 333333 rows",
    "DELETE FROM products WHERE description = $1": "products was read as a whole",
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many products."""
    async with filled_database(postgres, "catalog", FILL) as database:
        yield database


@pytest.mark.parametrize(("statement", "problem"), PROBLEMS.items())
async def test_a_statement_without_an_index_is_found(filled: Database, statement: str, problem: str) -> None:
    """The assertion fails with the problem of the plan."""
    with pytest.raises(AssertionError, match=problem):
        await assert_uses_indexes(filled, list(FILL), lambda tx: tx.fetch(statement, ""))
