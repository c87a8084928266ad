"""Indexes for each query of recommendations."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from local.postgres import Postgres
from mesh.database import Database
from services.recommendations import (
    basket_storage,
    erasure_storage,
    exposure_storage,
    feature_storage,
    model_storage,
)
from services.recommendations.domain.basket import Basket
from services.recommendations.domain.features import Features
from services.recommendations.domain.ranking import Ranking
from tests.services.indexes import ROWS, Read, assert_uses_indexes, filled_database

NOW = datetime.now(UTC)
OLDEST = NOW - timedelta(minutes=ROWS - 10)  # some rows are older
PRODUCT, OTHER = (UUID(f"00000000-0000-0000-0000-{number:012d}") for number in (7, 8))
BASKET = Basket(UUID(int=1), "users/7", (PRODUCT, OTHER), NOW)

FILL = {
    "baskets": """
        INSERT INTO baskets
        SELECT lpad(n::text, 32, '0')::uuid, 'users/' || n % 500, ARRAY[lpad((n % 1000)::text, 32, '0')::uuid],
            now() - n * interval '1 min', CASE n % 100 WHEN 0 THEN 'new' WHEN 1 THEN 'withdrawn' ELSE 'counted' END
        FROM generate_series(1, $1::int) AS n
    """,
    "product_counts": """
        INSERT INTO product_counts SELECT lpad(n::text, 32, '0')::uuid, n % 100 FROM generate_series(1, $1::int) AS n
    """,
    "pair_counts": """
        INSERT INTO pair_counts
        SELECT lpad(n::text, 32, '0')::uuid, lpad((n + step)::text, 32, '0')::uuid, 1 + n % 5
        FROM generate_series(1, $1::int) AS n, generate_series(1, 3) AS step
    """,
    "withdrawn_products": """
        INSERT INTO withdrawn_products
        SELECT lpad(n::text, 32, '0')::uuid, true, n % 100 = 0 FROM generate_series(1, $1::int, 5) AS n
    """,
    "stale_products": """
        INSERT INTO stale_products
        SELECT lpad(n::text, 32, '0')::uuid, now() - n * interval '1 s' FROM generate_series(1, $1::int) AS n
    """,
    "models": "INSERT INTO models (lists) SELECT 1 FROM generate_series(1, $1::int)",
    "neighbours": """
        INSERT INTO neighbours
        SELECT lpad(n::text, 32, '0')::uuid, ranking, position, lpad((n + position)::text, 32, '0')::uuid, 0.5
        FROM generate_series(1, $1::int) AS n, unnest(ARRAY['cosine', 'frequent']) AS ranking,
            generate_series(0, 2) AS position
    """,
    "exposures": """
        INSERT INTO exposures
        SELECT 'users/' || n, 'one', 'cosine', now() - n * interval '1 min' FROM generate_series(1, $1::int) AS n
    """,
    "erased_users": """
        INSERT INTO erased_users
        SELECT 'users/' || n, now() - n * interval '1 min' FROM generate_series(1, $1::int) AS n
    """,
}

READS: dict[str, Read] = {
    "withdraw": lambda tx: basket_storage.withdraw(tx, UUID(int=7)),
    "take new": lambda tx: basket_storage.take_new(tx, 50),
    "take withdrawn": lambda tx: basket_storage.take_withdrawn(tx, 50),
    "take old": lambda tx: basket_storage.take_old(tx, NOW - timedelta(days=6), 50),
    "history": lambda tx: basket_storage.find_history(tx, "users/7"),
    "forget": lambda tx: basket_storage.forget(tx, "users/7"),
    "change": lambda tx: feature_storage.change(tx, Features.change([BASKET], [])),
    "change back": lambda tx: feature_storage.change(tx, Features.change([], [BASKET])),
    "mark stale": lambda tx: feature_storage.mark_stale(tx, [PRODUCT, OTHER]),
    "take stale": lambda tx: feature_storage.take_stale(tx, 20),
    "count baskets": lambda tx: feature_storage.count_baskets(tx, [PRODUCT, OTHER]),
    "companions": lambda tx: feature_storage.find_companions(tx, PRODUCT),
    "bestsellers": lambda tx: feature_storage.find_bestsellers(tx, [PRODUCT], 50),
    "set withdrawn": lambda tx: feature_storage.set_withdrawn(tx, PRODUCT, withdrawn=False),
    "take pending": lambda tx: feature_storage.take_pending(tx, 50),
    "replace lists": lambda tx: model_storage.replace_lists(tx, [PRODUCT], {}),
    "model": model_storage.find_model,
    "neighbours": lambda tx: model_storage.find_neighbours(tx, [PRODUCT, OTHER], Ranking.COSINE, 50),
    "find variant": lambda tx: exposure_storage.find_variant(tx, "users/7", "one"),
    "convert": lambda tx: exposure_storage.convert(tx, "users/7", NOW),
    "delete exposures": lambda tx: exposure_storage.delete_of(tx, "users/7"),
    "purge exposures": lambda tx: exposure_storage.purge(tx, OLDEST + exposure_storage.KEPT_FOR),
    "is erased": lambda tx: erasure_storage.is_erased(tx, "users/7"),
    "purge erasures": lambda tx: erasure_storage.purge(tx, OLDEST + erasure_storage.REMEMBERED_FOR),
}


@pytest.fixture(scope="module")
async def filled(postgres: Postgres) -> AsyncIterator[Database]:
    """A database with many baskets and a large model."""
    async with filled_database(postgres, "recommendations", FILL) as database:
        yield database


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_query_goes_through_a_whole_table(filled: Database, read: Read) -> None:
    """With a million rows in each table, every query uses an index, and sorts few rows."""
    await assert_uses_indexes(filled, list(FILL), read)
